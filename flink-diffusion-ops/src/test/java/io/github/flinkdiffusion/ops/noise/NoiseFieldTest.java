/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.noise;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.apache.commons.math3.distribution.NormalDistribution;
import org.apache.commons.math3.stat.inference.KolmogorovSmirnovTest;

class NoiseFieldTest {

  /** The known answers that the authors publish with their library, Random123. */
  @Example
  void philoxGivesItsAuthorsAnswers() {
    assertThat(philox(0, 0, 0, 0, 0, 0))
        .containsExactly(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
    assertThat(philox(-1, -1, -1, -1, -1, -1))
        .containsExactly(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd);
    assertThat(philox(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0))
        .containsExactly(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1);
  }

  private static int[] philox(int c0, int c1, int c2, int c3, int key0, int key1) {
    int[] counter = {c0, c1, c2, c3};
    Philox.permute(counter, key0, key1);
    return counter;
  }

  @Property(tries = 200)
  void tilesAgreeToTheBitWhereTheyOverlapInWhateverOrderTheyAreDrawn(
      @ForAll long seed,
      @ForAll @IntRange(min = -100, max = 100) int x,
      @ForAll @IntRange(min = -100, max = 100) int y,
      @ForAll @IntRange(min = 0, max = 11) int dx,
      @ForAll @IntRange(min = 0, max = 8) int dy) {
    NoiseField field = new NoiseField(seed);
    float[] second1 = field.draw(1, 3, x + dx, y + dy, 12, 9);
    float[] second0 = field.draw(0, 3, x + dx, y + dy, 12, 9);
    float[] first0 = field.draw(0, 3, x, y, 12, 9);
    float[] first1 = field.draw(1, 3, x, y, 12, 9);
    for (int c = 0; c < 3; c++) {
      for (int row = dy; row < 9; row++) {
        for (int column = dx; column < 12; column++) {
          int inFirst = (c * 9 + row) * 12 + column;
          int inSecond = (c * 9 + row - dy) * 12 + column - dx;
          assertThat(first0[inFirst]).isEqualTo(second0[inSecond]);
          assertThat(first1[inFirst]).isEqualTo(second1[inSecond]);
        }
      }
    }
  }

  @Property(tries = 20, seed = "1")
  void isStandardNormalAndUncorrelated(@ForAll long seed) {
    int side = 128;
    float[] values = new NoiseField(seed).draw(0, 2, -50, 1 << 20, side, side);
    float[] nextSeed = new NoiseField(seed + 1).draw(0, 2, -50, 1 << 20, side, side);
    int n = values.length;
    // Five standard errors: 1 seed in a million fails.
    double error = 5 / Math.sqrt(n);
    assertThat(mean(values, 1)).isCloseTo(0, within(error));
    assertThat(mean(values, 2)).isCloseTo(1, within(error * Math.sqrt(2)));
    assertThat(mean(values, 3)).isCloseTo(0, within(error * Math.sqrt(15)));
    assertThat(mean(values, 4)).isCloseTo(3, within(error * Math.sqrt(96)));
    assertThat(correlation(values, values, 1)).as("next column").isCloseTo(0, within(error));
    assertThat(correlation(values, values, 2)).as("same call").isCloseTo(0, within(error));
    assertThat(correlation(values, values, side)).as("next row").isCloseTo(0, within(error));
    assertThat(correlation(values, values, side * side))
        .as("next channel")
        .isCloseTo(0, within(error * 1.5));
    assertThat(correlation(values, nextSeed, 0)).as("next seed").isCloseTo(0, within(error));
  }

  @Example
  void hasTheNormalDistributionsShape() {
    float[] values = new NoiseField(9).draw(0, 1, 0, 0, 100, 100);
    double[] doubles = new double[values.length];
    for (int i = 0; i < doubles.length; i++) {
      doubles[i] = values[i];
    }
    double p = new KolmogorovSmirnovTest().kolmogorovSmirnovTest(new NormalDistribution(), doubles);
    assertThat(p).isGreaterThan(0.001);
  }

  private static double mean(float[] values, int power) {
    double sum = 0;
    for (float value : values) {
      sum += Math.pow(value, power);
    }
    return sum / values.length;
  }

  private static double correlation(float[] a, float[] b, int lag) {
    double sum = 0;
    for (int i = lag; i < a.length; i++) {
      sum += (double) a[i] * b[i - lag];
    }
    return sum / (a.length - lag);
  }

  @Example
  void drawsChannelsAndSeedsDiffer() {
    NoiseField field = new NoiseField(1);
    float[] draw0 = field.draw(0, 2, 0, 0, 8, 8);
    float[] draw1 = field.draw(1, 2, 0, 0, 8, 8);
    assertThat(draw0).isNotEqualTo(draw1).doesNotHaveDuplicates();
    assertThat(new NoiseField(1L << 32 | 1).draw(0, 2, 0, 0, 8, 8))
        .as("the seed's upper word matters")
        .isNotEqualTo(draw0);
  }

  @Example
  void refusesWhatIsNoPartOfThePlane() {
    NoiseField field = new NoiseField(1);
    assertThatThrownBy(() -> field.draw(0, 0, 0, 0, 1, 1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("at least 1");
    assertThatThrownBy(() -> field.draw(0, 1, Integer.MAX_VALUE, 0, 1, 1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("beyond 2^31");
  }
}
