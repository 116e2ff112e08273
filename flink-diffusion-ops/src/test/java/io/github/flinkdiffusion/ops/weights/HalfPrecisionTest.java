/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.function.Function;
import org.junit.jupiter.api.Test;

class HalfPrecisionTest {

  @Test
  void everyF16WidensToItsValueAndBack() {
    for (int bits = 0; bits < 0x10000; bits++) {
      short half = (short) bits;
      float widened = HalfPrecision.f16ToFloat(half);
      assertThat(widened)
          .as("0x%04x", bits)
          .isEqualTo(Float.valueOf((float) f16ByDefinition(bits)));
      assertThat(Float.floatToRawIntBits(widened) >>> 31)
          .as("sign of 0x%04x", bits)
          .isEqualTo(bits >>> 15);
      if (Float.isNaN(widened)) {
        assertThat(HalfPrecision.floatToF16(widened)).isEqualTo((short) (bits & 0x8000 | 0x7E00));
      } else {
        assertThat(HalfPrecision.floatToF16(widened)).as("0x%04x", bits).isEqualTo(half);
      }
    }
  }

  @Test
  void everyBf16WidensToItsValueAndBack() {
    for (int bits = 0; bits < 0x10000; bits++) {
      short bfloat = (short) bits;
      float widened = HalfPrecision.bf16ToFloat(bfloat);
      assertThat(Float.floatToRawIntBits(widened)).isEqualTo(bits << 16);
      if (Float.isNaN(widened)) {
        assertThat(HalfPrecision.floatToBf16(widened)).isEqualTo((short) (bits & 0x8000 | 0x7FC0));
      } else {
        assertThat(HalfPrecision.floatToBf16(widened)).as("0x%04x", bits).isEqualTo(bfloat);
      }
    }
  }

  @Test
  void f16RoundsToNearestWithTiesToEven() {
    roundsBetweenNeighbours(0x7BFF, HalfPrecision::f16ToFloat, HalfPrecision::floatToF16);
    assertThat(HalfPrecision.floatToF16(Math.nextDown(65520f))).isEqualTo((short) 0x7BFF);
    assertThat(HalfPrecision.floatToF16(65520f)).isEqualTo((short) 0x7C00);
    assertThat(HalfPrecision.floatToF16(-Float.MAX_VALUE)).isEqualTo((short) 0xFC00);
  }

  @Test
  void bf16RoundsToNearestWithTiesToEven() {
    roundsBetweenNeighbours(0x7F7F, HalfPrecision::bf16ToFloat, HalfPrecision::floatToBf16);
    assertThat(HalfPrecision.floatToBf16(Float.MAX_VALUE)).isEqualTo((short) 0x7F80);
  }

  /**
   * For each pair of adjacent non-negative numbers of the format: the middle, and the floats just
   * beside it.
   */
  private static void roundsBetweenNeighbours(
      int largest, Function<Short, Float> widen, Function<Float, Short> narrow) {
    for (int bits = 0; bits < largest; bits++) {
      double low = widen.apply((short) bits);
      double high = widen.apply((short) (bits + 1));
      float middle = (float) ((low + high) / 2);
      short even = (short) (bits + (bits & 1));
      boolean middleIsAFloat = middle == (low + high) / 2;
      for (float sign : new float[] {1, -1}) {
        int signBit = sign < 0 ? 0x8000 : 0;
        if (middleIsAFloat) {
          assertThat(narrow.apply(sign * middle))
              .as("%s", middle)
              .isEqualTo((short) (even | signBit));
        }
        assertThat(narrow.apply(sign * Math.nextDown(middle)))
            .as("below %s", middle)
            .isEqualTo((short) (bits | signBit));
        assertThat(narrow.apply(sign * Math.nextUp(middle)))
            .as("above %s", middle)
            .isEqualTo((short) (bits + 1 | signBit));
      }
    }
  }

  private static double f16ByDefinition(int bits) {
    double sign = bits >>> 15 == 0 ? 1 : -1;
    int exponent = bits >>> 10 & 0x1F;
    int fraction = bits & 0x3FF;
    if (exponent == 0x1F) {
      return fraction == 0 ? sign * Double.POSITIVE_INFINITY : Double.NaN;
    }
    return exponent == 0
        ? sign * fraction / 1024 * Math.pow(2, -14)
        : sign * (1 + fraction / 1024.0) * Math.pow(2, exponent - 15);
  }
}
