/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.image.NoDataMask;
import io.github.flinkdiffusion.ops.image.Raster;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class QualityTest {

  private static Raster noise(int channels, int height, int width, long seed) {
    Random random = new Random(seed);
    float[] data = new float[channels * height * width];
    for (int i = 0; i < data.length; i++) {
      data[i] = random.nextFloat();
    }
    return new Raster(channels, height, width, data);
  }

  @Test
  void equalPicturesAreAsGoodAsCanBe() {
    Raster picture = noise(3, 20, 30, 1);
    assertThat(Fidelity.meanSquaredError(picture, picture)).isZero();
    assertThat(Fidelity.psnr(picture, picture)).isEqualTo(Double.POSITIVE_INFINITY);
    assertThat(Fidelity.ssim(picture, picture)).isCloseTo(1, within(1e-12));
  }

  @Test
  void aUniformErrorOfATenthIsTwentyDecibels() {
    Raster truth = Raster.filled(1, 5, 5, 0.5f);
    assertThat(Fidelity.psnr(Raster.filled(1, 5, 5, 0.6f), truth)).isCloseTo(20, within(1e-5));
  }

  @Test
  void masksOverlap() {
    boolean[] mask = {true, true, true, false, false};
    boolean[] truth = {false, true, true, true, false};
    assertThat(Overlap.dice(mask, truth)).isEqualTo(4 / 6.0);
    assertThat(Overlap.intersectionOverUnion(mask, truth)).isEqualTo(2 / 4.0);
    assertThat(Overlap.dice(new boolean[3], new boolean[3])).isEqualTo(1);
    assertThat(Overlap.intersectionOverUnion(new boolean[3], new boolean[3])).isEqualTo(1);
    assertThat(Overlap.dice(new boolean[] {true}, new boolean[] {false})).isZero();
  }

  @Test
  void aSetIsAtNoDistanceFromItselfEvenWithFewerSamplesThanFeatures() {
    Random random = new Random(2);
    float[][] set = new float[5][12];
    for (float[] sample : set) {
      for (int i = 0; i < sample.length; i++) {
        sample[i] = (float) random.nextGaussian();
      }
    }
    assertThat(FeatureDistance.frechet(set, set)).isCloseTo(0, within(1e-6));
  }

  @ParameterizedTest
  @CsvSource({"2, 64", "20, 150", "100, 150", "300, 150", "10, 300"})
  void aSetThatWasMovedIsAsFarAsItWasMovedWhateverItsRank(int samples, int features) {
    Random random = new Random(samples);
    float[][] set = new float[samples][features];
    float[][] moved = new float[samples][features];
    for (int i = 0; i < samples; i++) {
      for (int j = 0; j < features; j++) {
        set[i][j] = (float) random.nextGaussian();
        moved[i][j] = set[i][j] + 0.5f;
      }
    }
    double distance = features * 0.25;
    assertThat(FeatureDistance.frechet(set, moved)).isCloseTo(distance, within(1e-5 * distance));
  }

  @Test
  void setsWithoutAnySpreadAreAsFarAsTheirMeans() {
    float[][] zeros = new float[3][40];
    float[][] ones = new float[2][40];
    for (float[] one : ones) {
      Arrays.fill(one, 1);
    }
    assertThat(FeatureDistance.frechet(zeros, zeros)).isZero();
    assertThat(FeatureDistance.frechet(zeros, ones)).isEqualTo(40);
  }

  @Test
  void aJumpBetweenTilesIsASeamAndASlopeIsNone() {
    Raster plain = noise(1, 200, 200, 3);
    assertThat(Seams.excess(plain, new int[] {100}, new int[] {50, 100}))
        .isCloseTo(1, within(0.15));
    float[] jump = plain.data().clone();
    float[] slope = plain.data().clone();
    for (int y = 0; y < 200; y++) {
      for (int x = 0; x < 200; x++) {
        jump[y * 200 + x] += x < 100 ? 0 : 1.5f;
        slope[y * 200 + x] += x * 0.5f;
      }
    }
    assertThat(Seams.excess(new Raster(1, 200, 200, jump), new int[] {100}, new int[0]))
        .isGreaterThan(2);
    assertThat(Seams.excess(new Raster(1, 200, 200, slope), new int[] {100}, new int[0]))
        .isCloseTo(1, within(0.15));
    assertThat(Seams.excess(Raster.filled(1, 9, 9, 1), new int[] {4}, new int[] {4})).isOne();
  }

  @Test
  void refusesWhatCanNotBeCompared() {
    Raster small = Raster.filled(1, 10, 11, 0);
    assertThatThrownBy(() -> Fidelity.ssim(small, small))
        .isInstanceOf(QualityException.class)
        .hasMessageContaining("11 pixels a side");
    assertThatThrownBy(() -> Fidelity.psnr(small, Raster.filled(1, 11, 10, 0)))
        .isInstanceOf(QualityException.class)
        .hasMessageContaining("1 x 11 x 10");
    assertThatThrownBy(() -> Overlap.dice(new boolean[2], new boolean[3]))
        .isInstanceOf(QualityException.class);
    assertThatThrownBy(() -> RankCorrelation.spearman(new float[2], new float[] {1, Float.NaN}))
        .isInstanceOf(QualityException.class)
        .hasMessageContaining("value 1");
    assertThatThrownBy(() -> RankCorrelation.spearman(new float[1], new float[1]))
        .isInstanceOf(QualityException.class);
    float[][] two = {{1, 2}, {3, 4}};
    assertThatThrownBy(() -> FeatureDistance.frechet(two, new float[][] {{1, 2}}))
        .isInstanceOf(QualityException.class)
        .hasMessageContaining("at least 2");
    assertThatThrownBy(() -> FeatureDistance.kernel(two, new float[][] {{1, 2}, {3}}))
        .hasMessageContaining("Sample 1 of the second set has 1 features");
    assertThatThrownBy(
            () -> FeatureDistance.kernel(two, new float[][] {{1, 2}, {3, Float.POSITIVE_INFINITY}}))
        .hasMessageContaining("Infinity");
    assertThatThrownBy(() -> Seams.excess(small, new int[] {1}, new int[0]))
        .hasMessageContaining("2 to 9 are inside");
    assertThatThrownBy(() -> Seams.excess(small, new int[0], new int[0]))
        .isInstanceOf(QualityException.class);
  }

  @Test
  void samplesWithoutDataDoNotCount() {
    float[] values = new float[20 * 20];
    Raster truth = new Raster(1, 20, 20, values);
    float[] other = values.clone();
    other[0] = 1;
    BitSet missing = new BitSet();
    missing.set(0);
    Raster picture = new Raster(1, 20, 20, other);
    assertThat(Fidelity.meanSquaredError(picture, truth)).isEqualTo(1 / 400.0);
    Raster without = picture.masked(NoDataMask.of(1, 20, 20, missing).orElseThrow());
    assertThat(Fidelity.meanSquaredError(without, truth)).isZero();
    assertThat(Fidelity.ssim(picture, truth)).isLessThan(1);
    assertThat(Fidelity.ssim(without, truth)).isEqualTo(1);
    missing.set(0, 400);
    assertThatThrownBy(() -> Fidelity.psnr(picture.withNoData(missing), truth))
        .isInstanceOf(QualityException.class)
        .hasMessageContaining("hold no data");
  }
}
