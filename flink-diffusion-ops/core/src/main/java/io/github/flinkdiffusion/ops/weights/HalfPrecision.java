/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import org.apache.flink.annotation.Internal;

/**
 * The two 16-bit floating-point formats against {@code float}. Widening is exact; narrowing rounds
 * to the nearest value, ties to even, as torch and the hardware do: a finite float too large for
 * the format becomes an infinity, and every NaN the format's quiet NaN with its sign kept.
 */
@Internal
public final class HalfPrecision {
  /**
   * The smallest magnitude that rounds to infinity in IEEE binary16: half-way between 65504 and
   * 65536.
   */
  private static final int F16_OVERFLOW_BITS = Float.floatToRawIntBits(65520f);

  /** The smallest normal magnitude of binary16, 2^-14. */
  private static final int F16_MIN_NORMAL_BITS = Float.floatToRawIntBits(0x1p-14f);

  private HalfPrecision() {}

  /** Widens IEEE binary16 (1 sign, 5 exponent, 10 mantissa bits). */
  public static float f16ToFloat(short half) {
    int sign = (half & 0x8000) << 16;
    int exponent = (half >>> 10) & 0x1F;
    int mantissa = half & 0x3FF;
    if (exponent == 0) {
      // zero and the subnormals, which are multiples of 2^-24
      return Float.intBitsToFloat(sign | Float.floatToRawIntBits(mantissa * 0x1p-24f));
    }
    int floatExponent = exponent == 0x1F ? 0xFF : exponent + (127 - 15);
    return Float.intBitsToFloat(sign | floatExponent << 23 | mantissa << 13);
  }

  /** Narrows to IEEE binary16. */
  public static short floatToF16(float value) {
    int bits = Float.floatToRawIntBits(value);
    int sign = (bits >>> 16) & 0x8000;
    int magnitude = bits & 0x7FFF_FFFF;
    if (magnitude > 0x7F80_0000) {
      return (short) (sign | 0x7E00);
    }
    if (magnitude >= F16_OVERFLOW_BITS) {
      return (short) (sign | 0x7C00);
    }
    if (magnitude < F16_MIN_NORMAL_BITS) {
      // Adding 0.5, whose last bit is 2^-24, makes the float adder round to a multiple of 2^-24,
      // ties to even.
      float aligned = Float.intBitsToFloat(magnitude) + 0.5f;
      return (short) (sign | (Float.floatToRawIntBits(aligned) - Float.floatToRawIntBits(0.5f)));
    }
    // Rebias, and add just under half of the last kept bit, plus that bit itself so that ties go to
    // even. A carry out
    // of the mantissa increments the exponent, which is the right answer.
    int rounded = magnitude - ((127 - 15) << 23) + 0xFFF + ((magnitude >>> 13) & 1);
    return (short) (sign | rounded >>> 13);
  }

  /** Widens bfloat16 (the upper half of a float). */
  public static float bf16ToFloat(short bfloat) {
    return Float.intBitsToFloat(bfloat << 16);
  }

  /** Narrows to bfloat16. */
  public static short floatToBf16(float value) {
    int bits = Float.floatToRawIntBits(value);
    if ((bits & 0x7FFF_FFFF) > 0x7F80_0000) {
      return (short) ((bits >>> 16) & 0x8000 | 0x7FC0);
    }
    return (short) ((bits + 0x7FFF + ((bits >>> 16) & 1)) >>> 16);
  }
}
