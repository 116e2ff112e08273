/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

class FeatureSampleTest {
  private static final int FEATURES = 3;
  private static final int LIMIT = 20;

  private static List<double[]> vectors(int count, double mean, long seed) {
    Random random = new Random(seed);
    List<double[]> vectors = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      double[] vector = new double[FEATURES];
      Arrays.setAll(vector, at -> mean + random.nextGaussian());
      vectors.add(vector);
    }
    return vectors;
  }

  private static FeatureSample of(List<double[]> vectors, int limit) {
    FeatureSample sample = new FeatureSample(FEATURES, limit);
    vectors.forEach(sample::add);
    return sample;
  }

  private static void assertEqual(FeatureSample found, FeatureSample expected) {
    assertThat(found.threshold()).isEqualTo(expected.threshold());
    assertThat(contents(found)).isEqualTo(contents(expected));
  }

  private static TreeMap<Long, String> contents(FeatureSample sample) {
    TreeMap<Long, String> contents = new TreeMap<>();
    double[] vectors = sample.vectors();
    for (int i = 0; i < sample.hashes().length; i++) {
      String vector =
          Arrays.toString(Arrays.copyOfRange(vectors, i * FEATURES, (i + 1) * FEATURES));
      contents.put(sample.hashes()[i], sample.counts()[i] + " x " + vector);
    }
    return contents;
  }

  @Test
  void neitherOrderNorPartsShow() {
    List<double[]> vectors = vectors(300, 0, 1);
    vectors.addAll(vectors.subList(0, 200));
    FeatureSample expected = of(vectors, LIMIT);
    assertThat(expected.hashes()).hasSize(LIMIT);

    List<double[]> shuffled = new ArrayList<>(vectors);
    Collections.shuffle(shuffled, new Random(2));
    assertEqual(of(shuffled, LIMIT), expected);

    FeatureSample parts = new FeatureSample(FEATURES, LIMIT);
    parts.add(of(shuffled.subList(0, 5), LIMIT));
    parts.add(of(shuffled.subList(5, 400), LIMIT));
    parts.add(new FeatureSample(FEATURES, LIMIT));
    parts.add(of(shuffled.subList(400, 500), LIMIT));
    assertEqual(parts, expected);
    FeatureSample other = of(vectors(300, 0, 9), LIMIT);
    assertThat(FeatureDistance.kernel(parts, other))
        .isEqualTo(FeatureDistance.kernel(expected, other));
  }

  @Test
  void equalVectorsTakeOnePlaceAndCountEachTime() {
    List<double[]> once = vectors(8, 0, 3);
    List<double[]> thrice = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      thrice.addAll(once);
    }
    FeatureSample sample = of(thrice, 8);
    assertThat(sample.hashes()).hasSize(8);
    assertThat(sample.count()).isEqualTo(24);
    float[][] all = new float[24][FEATURES];
    double[][] same = thrice.toArray(double[][]::new);
    for (int i = 0; i < 24; i++) {
      for (int j = 0; j < FEATURES; j++) {
        all[i][j] = (float) same[i][j];
      }
    }
    assertThat(sample.meanKernel()).isCloseTo(byPairs(all), within(1e-6));
    FeatureSample zeros = new FeatureSample(1, 5);
    zeros.add(new double[] {0.0});
    zeros.add(new double[] {-0.0});
    assertThat(zeros.counts()).containsExactly(2);
  }

  private static double byPairs(float[][] samples) {
    double sum = 0;
    for (int i = 0; i < samples.length; i++) {
      for (int j = 0; j < samples.length; j++) {
        double product = 0;
        for (int k = 0; k < FEATURES; k++) {
          product += (double) samples[i][k] * samples[j][k];
        }
        sum += i == j ? 0 : Math.pow(product / FEATURES + 1, 3);
      }
    }
    return sum / (samples.length * (samples.length - 1));
  }

  @Test
  void whatIsRemovedLeavesTheThresholdWhereItWas() {
    List<double[]> vectors = vectors(200, 0, 4);
    FeatureSample sample = of(vectors, LIMIT);
    long threshold = sample.threshold();
    vectors.subList(0, 100).forEach(sample::remove);
    assertThat(sample.threshold()).isEqualTo(threshold);
    FeatureSample rest = of(vectors.subList(100, 200), 200);
    List<Long> below =
        Arrays.stream(rest.hashes()).filter(hash -> hash < threshold).boxed().toList();
    assertThat(sample.hashes())
        .containsExactlyInAnyOrder(below.stream().mapToLong(l -> l).toArray());
    FeatureSample again = sample;
    vectors.subList(0, 100).forEach(again::add);
    assertEqual(again, of(vectors, LIMIT));
  }

  @Test
  void aSampleIsAsFarFromAnotherSetAsTheWhole() {
    List<double[]> first = vectors(3000, 0, 5);
    List<double[]> second = vectors(3000, 1, 6);
    double whole = FeatureDistance.kernel(of(first, 3000), of(second, 3000));
    double sampled = FeatureDistance.kernel(of(first, 1000), of(second, 1000));
    assertThat(sampled).isCloseTo(whole, within(0.15 * whole));
  }

  @Test
  void refusesWhatDoesNotBelongTogether() {
    FeatureSample sample = new FeatureSample(2, 5);
    assertThatThrownBy(() -> sample.add(new double[3]))
        .isInstanceOf(QualityException.class)
        .hasMessageContaining("3 features; 2 are needed");
    assertThatThrownBy(() -> sample.add(new FeatureSample(4, 5)))
        .hasMessageContaining("4 features; 2 are needed");
    assertThatThrownBy(() -> new FeatureSample(2, 5, new long[1], new long[1], new double[3], 0))
        .hasMessageContaining("1 vectors with 1 counts and 3 numbers");
  }
}
