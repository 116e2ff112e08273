/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.Test;

class ImageSetMeasuresTest {
  private static final Percentage SAME = Percentage.withPercentage(1e-6);

  private static float[][] drawn(Random random, int rows, int features, double deviation) {
    float[][] drawn = new float[rows][features];
    for (float[] row : drawn) {
      for (int i = 0; i < features; i++) {
        row[i] = (float) (1 + deviation * random.nextGaussian());
      }
    }
    return drawn;
  }

  private static int[] all(int count) {
    return IntStream.range(0, count).toArray();
  }

  @Test
  void distancesOfPairProductsAreThoseOfFeatures() {
    Random random = new Random(25);
    for (int[] sizes : new int[][] {{12, 9, 5}, {7, 11, 30}, {6, 6, 6}}) {
      float[][] first = drawn(random, sizes[0], sizes[2], 1);
      float[][] second = drawn(random, sizes[1], sizes[2], 2);
      PairProducts pairs = new PairProducts(first, second);
      assertThat(pairs.frechet(all(sizes[0]), all(sizes[1])))
          .isCloseTo(FeatureDistance.frechet(first, second), SAME);
      assertThat(pairs.kernel(all(sizes[0]), all(sizes[1])))
          .isCloseTo(FeatureDistance.kernel(first, second), SAME);
      int[] some = {3, 1, 4, 1};
      float[][] picked = {first[3], first[1], first[4], first[1]};
      assertThat(pairs.frechet(some, all(sizes[1])))
          .isCloseTo(FeatureDistance.frechet(picked, second), SAME);
    }
  }

  @Test
  void figuresAreThoseOfTheSingleMeasures() {
    Random random = new Random(7);
    float[][] made = drawn(random, 30, 6, 1);
    float[][] real = drawn(random, 25, 6, 1.3);
    ImageSetMeasures measures = new ImageSetMeasures(5, 3, 20, 1);
    Map<String, Estimate> two = measures.ofTwo(made, real);
    Manifold manifold = Manifold.of(real, made, 3);
    assertThat(two.keySet())
        .containsExactly("fid", "kid", "precision", "recall", "density", "coverage");
    assertThat(two.get("fid").value()).isEqualTo(FeatureDistance.frechet(made, real));
    assertThat(two.get("kid").value()).isEqualTo(FeatureDistance.kernel(made, real));
    assertThat(two.get("precision").value()).isCloseTo(manifold.precision(), SAME);
    assertThat(two.get("recall").value()).isCloseTo(manifold.recall(), SAME);
    assertThat(two.get("density").value()).isCloseTo(manifold.density(), SAME);
    assertThat(two.get("coverage").value()).isCloseTo(manifold.coverage(), SAME);
    Map<String, Estimate> one = measures.ofOne(made, real.clone());
    assertThat(one.get("inceptionScore").value()).isEqualTo(InceptionScore.of(real, 5).mean());
    assertThat(one.get("vendiScore").value()).isEqualTo(Diversity.vendi(made));
    Map<String, Estimate> texts = measures.ofTexts(made, drawn(random, 30, 6, 1));
    assertThat(texts.keySet()).containsExactly("clipScore", "rPrecision");
    assertThat(two.values()).allMatch(Estimate::hasInterval);
    assertThat(one.values()).allMatch(Estimate::hasInterval);
    assertThat(two).isEqualTo(measures.ofTwo(made, real));
  }

  /** The bootstrap knows one pair of sets; 40 pairs say how far figures really spread. */
  @Test
  void errorsAreAsLargeAsFiguresOfNewImagesSpread() {
    Random random = new Random(11);
    ImageSetMeasures measures = new ImageSetMeasures(1, 3, 25, 5);
    List<Map<String, Estimate>> found = new ArrayList<>();
    for (int i = 0; i < 40; i++) {
      float[][] made = drawn(random, 60, 4, 1.2);
      Map<String, Estimate> each = measures.ofTwo(made, drawn(random, 60, 4, 1));
      each.putAll(measures.ofOne(made, drawn(random, 60, 4, 2)));
      each.putAll(measures.ofTexts(made, drawn(random, 60, 4, 0.5)));
      found.add(each);
    }
    // Recall and coverage depend on how the balls lie, too, which their errors leave out.
    for (String name :
        List.of("fid", "kid", "inceptionScore", "vendiScore", "clipScore", "rPrecision")) {
      double[] values = found.stream().mapToDouble(each -> each.get(name).value()).toArray();
      double spread = Estimate.ofMean(values).error() * Math.sqrt(values.length);
      double error =
          found.stream().mapToDouble(each -> each.get(name).error()).average().orElseThrow();
      assertThat(error / spread).as(name).isBetween(0.6, 1.7);
    }
  }

  @Test
  void vectorsThatCameOftenCountOftenInAManifold() {
    Random random = new Random(2);
    float[][] real = drawn(random, 20, 3, 1);
    float[][] made = drawn(random, 20, 3, 1);
    for (int i = 0; i < 6; i++) {
      real[i + 6] = real[i];
      made[i + 9] = made[2];
    }
    FeatureSample ofReal = new FeatureSample(3, 100);
    FeatureSample ofMade = new FeatureSample(3, 100);
    for (int i = 0; i < 20; i++) {
      ofReal.add(new double[] {real[i][0], real[i][1], real[i][2]});
      ofMade.add(new double[] {made[i][0], made[i][1], made[i][2]});
    }
    Manifold expected = Manifold.of(real, made, 3);
    Manifold actual = Manifold.of(ofReal, ofMade, 3);
    assertThat(ofReal.hashes()).hasSize(14);
    assertThat(actual.precision()).isCloseTo(expected.precision(), SAME);
    assertThat(actual.recall()).isCloseTo(expected.recall(), SAME);
    assertThat(actual.density()).isCloseTo(expected.density(), SAME);
    assertThat(actual.coverage()).isCloseTo(expected.coverage(), SAME);
    assertThat(expected.density()).isBetween(0.1, 3.0);
  }

  @Test
  void anIntervalIsTwoStandardErrorsWide() {
    Estimate mean = Estimate.ofMean(new double[] {1, 2, 3, 4});
    assertThat(mean.value()).isEqualTo(2.5);
    assertThat(mean.error()).isCloseTo(Math.sqrt(5.0 / 3 / 4), SAME);
    assertThat(mean.high() - mean.value()).isCloseTo(1.959964 * mean.error(), SAME);
    assertThat(mean.value() - mean.low()).isCloseTo(1.959964 * mean.error(), SAME);
    // statsmodels' proportion_confint(8, 10, method="wilson")
    assertThat(Estimate.ofShare(0.8, 10).low()).isCloseTo(0.49016247153664183, SAME);
    assertThat(Estimate.ofShare(0.8, 10).high()).isCloseTo(0.9433178485456247, SAME);
    assertThat(Estimate.ofShare(0, 10).low()).isZero();
    assertThat(Estimate.ofShare(0, 10).high()).isCloseTo(0.27753279986288926, SAME);
    assertThat(Estimate.ofShare(1, 10).high()).isOne();
    assertThat(Estimate.ofMean(new double[] {3}).hasInterval()).isFalse();
    assertThat(Estimate.of(3).hasInterval()).isFalse();
  }
}
