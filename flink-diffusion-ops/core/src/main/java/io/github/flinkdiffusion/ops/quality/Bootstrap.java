/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.BiFunction;

/**
 * Standard errors by B. Efron's bootstrap: samples are drawn again and again from the images that
 * are there, with replacement, and the figures of all draws spread as those of new images would.
 * The same seed draws the same.
 */
final class Bootstrap {
  private Bootstrap() {}

  /**
   * @param resamples from 2
   * @param second size of the second set; 0 where there is one set only
   * @param figure of indices of the first and of the second set
   */
  static double error(
      int resamples, long seed, int first, int second, BiFunction<int[], int[], Double> figure) {
    SplittableRandom random = new SplittableRandom(seed);
    double[] figures = new double[resamples];
    for (int i = 0; i < resamples; i++) {
      figures[i] = figure.apply(drawn(random, first), drawn(random, second));
    }
    double mean = Arrays.stream(figures).sum() / resamples;
    double squares = 0;
    for (double value : figures) {
      squares += (value - mean) * (value - mean);
    }
    return Math.sqrt(squares / (resamples - 1));
  }

  private static int[] drawn(SplittableRandom random, int size) {
    int[] drawn = new int[size];
    for (int i = 0; i < size; i++) {
      drawn[i] = random.nextInt(size);
    }
    return drawn;
  }
}
