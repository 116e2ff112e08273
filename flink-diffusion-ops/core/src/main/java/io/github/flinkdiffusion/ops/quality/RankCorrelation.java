/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import org.apache.commons.math3.stat.correlation.SpearmansCorrelation;
import org.apache.flink.annotation.Internal;

/** Whether large values of one thing go with large values of another. */
@Internal
public final class RankCorrelation {

  private RankCorrelation() {}

  /**
   * Spearman's rank correlation, -1 to 1; equal values share their mean rank.
   *
   * @return not a number if all values of one side are equal
   * @throws QualityException if there are fewer than two pairs, the lengths differ, or a value is
   *     not a number
   */
  public static double spearman(float[] a, float[] b) {
    if (a.length != b.length || a.length < 2) {
      throw new QualityException(
          "Rank correlation of %d and %d values; equally many are needed, at least 2"
              .formatted(a.length, b.length));
    }
    return new SpearmansCorrelation().correlation(doubles(a), doubles(b));
  }

  private static double[] doubles(float[] values) {
    double[] doubles = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      if (Float.isNaN(values[i])) {
        throw new QualityException(
            "Rank correlation: value %d is not a number; such have no rank".formatted(i));
      }
      // Adding 0 makes -0 and 0 equal, which the ranking would tell apart.
      doubles[i] = values[i] + 0.0;
    }
    return doubles;
  }
}
