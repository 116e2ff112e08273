/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

/**
 * The two 8-bit floating-point formats that weights are stored in, by their names in safetensors:
 * E4M3 without infinities (torch's {@code float8_e4m3fn}) and E5M2 ({@code float8_e5m2}). Widening
 * is exact.
 */
final class EightBitFloats {
  private static final float[] E4M3 = new float[256];
  private static final float[] E5M2 = new float[256];

  static {
    for (int code = 0; code < 256; code++) {
      E4M3[code] = e4m3(code);
      E5M2[code] = HalfPrecision.f16ToFloat((short) (code << 8));
    }
  }

  private EightBitFloats() {}

  /**
   * @param dtype one of the two
   */
  static float toFloat(DType dtype, byte code) {
    return (dtype == DType.F8_E4M3 ? E4M3 : E5M2)[code & 0xFF];
  }

  private static float e4m3(int code) {
    int exponent = (code >>> 3) & 0xF;
    int mantissa = code & 0x7;
    float magnitude;
    if (exponent == 0xF && mantissa == 0x7) {
      magnitude = Float.NaN;
    } else if (exponent == 0) {
      magnitude = mantissa * 0x1p-9f;
    } else {
      magnitude = Math.scalb((float) (8 + mantissa), exponent - 10);
    }
    return (code & 0x80) == 0 ? magnitude : -magnitude;
  }
}
