/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import org.junit.jupiter.api.Test;

class FeatureMomentsTest {
  private static final int FEATURES = 6;

  /** Far from 0, where sums of squares would lose their digits. */
  private static double[][] vectors(int count, long seed) {
    Random random = new Random(seed);
    double[][] vectors = new double[count][FEATURES];
    for (double[] vector : vectors) {
      for (int i = 0; i < FEATURES; i++) {
        vector[i] = 1e6 + (i + 1) * random.nextGaussian();
      }
    }
    return vectors;
  }

  private static FeatureMoments of(double[][] vectors, int from, int to) {
    FeatureMoments moments = new FeatureMoments(FEATURES);
    for (int i = from; i < to; i++) {
      moments.add(vectors[i]);
    }
    return moments;
  }

  private static void assertEqual(FeatureMoments found, FeatureMoments expected) {
    assertThat(found.count()).isEqualTo(expected.count());
    assertThat(found.mean()).containsExactly(expected.mean(), within(1e-8));
    assertThat(found.scatter()).containsExactly(expected.scatter(), within(1e-5));
  }

  @Test
  void theyAreMeanAndScatter() {
    double[][] vectors = vectors(50, 1);
    FeatureMoments moments = of(vectors, 0, 50);
    double[] mean = new double[FEATURES];
    for (double[] vector : vectors) {
      for (int i = 0; i < FEATURES; i++) {
        mean[i] += vector[i] / 50;
      }
    }
    double[] scatter = new double[FEATURES * (FEATURES + 1) / 2];
    for (double[] vector : vectors) {
      for (int i = 0, at = 0; i < FEATURES; i++) {
        for (int j = 0; j <= i; j++) {
          scatter[at++] += (vector[i] - mean[i]) * (vector[j] - mean[j]);
        }
      }
    }
    assertEqual(moments, new FeatureMoments(50, mean, scatter));
  }

  @Test
  void partsAddUpToTheWhole() {
    double[][] vectors = vectors(90, 2);
    FeatureMoments parts = new FeatureMoments(FEATURES);
    parts.add(of(vectors, 0, 7));
    parts.add(new FeatureMoments(FEATURES));
    parts.add(of(vectors, 7, 8));
    parts.add(of(vectors, 8, 90));
    assertEqual(parts, of(vectors, 0, 90));
  }

  @Test
  void whatIsRemovedWasNeverThere() {
    double[][] vectors = vectors(60, 3);
    FeatureMoments moments = of(vectors, 0, 60);
    for (int i = 0; i < 40; i++) {
      moments.remove(vectors[i]);
    }
    assertEqual(moments, of(vectors, 40, 60));
    for (int i = 40; i < 60; i++) {
      moments.remove(vectors[i]);
    }
    assertThat(moments.count()).isZero();
    assertThat(moments.mean()).containsOnly(0);
    assertThat(moments.scatter()).containsOnly(0);
  }

  @Test
  void refusesWhatDoesNotBelongTogether() {
    FeatureMoments moments = new FeatureMoments(2);
    assertThatThrownBy(() -> moments.add(new double[3]))
        .isInstanceOf(QualityException.class)
        .hasMessageContaining("3 features; 2 are needed");
    assertThatThrownBy(() -> moments.add(of(vectors(1, 4), 0, 1)))
        .hasMessageContaining("6 features; 2 are needed");
    assertThatThrownBy(() -> new FeatureMoments(1, new double[2], new double[4]))
        .hasMessageContaining("a mean of 2 and a scatter of 4 numbers");
    moments.add(new double[2]);
    moments.add(new double[2]);
    assertThatThrownBy(() -> FeatureDistance.frechet(moments, of(vectors(2, 5), 0, 2)))
        .hasMessageContaining("2 and 6 features");
  }
}
