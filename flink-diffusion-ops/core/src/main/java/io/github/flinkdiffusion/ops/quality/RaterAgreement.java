/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import java.util.Arrays;
import org.apache.flink.annotation.Internal;

/**
 * Krippendorff's alpha: how far people who rate the same things agree, beyond chance. 1 is full
 * agreement, 0 what chance gives; below 0.67 no conclusions should be drawn (K. Krippendorff,
 * Content Analysis, 2004).
 */
@Internal
public final class RaterAgreement {
  /** What differences of ratings mean. */
  public enum Scale {
    /** Names. */
    NOMINAL,
    /** An order, such as one to five stars. */
    ORDINAL,
    /** Numbers whose differences count. */
    INTERVAL,
    /** Numbers from a true zero, whose shares count. */
    RATIO
  }

  private RaterAgreement() {}

  /**
   * @param ratings a row for each rater, a column for each thing; not a number where a rater did
   *     not rate
   * @return not a number if all ratings are the same, so that there is no chance of disagreement
   * @throws QualityException if no thing has two ratings, rows differ in length, or a rating is
   *     infinite, or below 0 on a ratio scale
   */
  public static double alpha(double[][] ratings, Scale scale) {
    double[] values = values(ratings, scale);
    double[][] together = coincidences(ratings, values);
    double[] totals = new double[values.length];
    double all = 0;
    for (int a = 0; a < values.length; a++) {
      for (int b = 0; b < values.length; b++) {
        totals[a] += together[a][b];
      }
      all += totals[a];
    }
    if (all == 0) {
      throw new QualityException("Agreement of raters: no thing has two ratings");
    }
    double observed = 0;
    double expected = 0;
    for (int a = 0; a < values.length; a++) {
      for (int b = 0; b < values.length; b++) {
        double distance = distance(a, b, values, totals, scale);
        observed += together[a][b] * distance;
        expected += totals[a] * totals[b] * distance / (all - 1);
      }
    }
    return 1 - observed / expected;
  }

  private static double[] values(double[][] ratings, Scale scale) {
    for (double[] row : ratings) {
      if (row.length != ratings[0].length) {
        throw new QualityException(
            "Agreement of raters: a row of %d things and one of %d"
                .formatted(ratings[0].length, row.length));
      }
      for (double rating : row) {
        if (Double.isInfinite(rating) || scale == Scale.RATIO && rating < 0) {
          throw new QualityException(
              "Agreement of raters: a rating of %s on the scale %s".formatted(rating, scale));
        }
      }
    }
    return Arrays.stream(ratings)
        .flatMapToDouble(Arrays::stream)
        .filter(rating -> !Double.isNaN(rating))
        .map(rating -> rating + 0.0)
        .sorted()
        .distinct()
        .toArray();
  }

  private static double[][] coincidences(double[][] ratings, double[] values) {
    double[][] together = new double[values.length][values.length];
    int things = ratings.length == 0 ? 0 : ratings[0].length;
    for (int thing = 0; thing < things; thing++) {
      double[] counts = new double[values.length];
      int raters = 0;
      for (double[] row : ratings) {
        if (!Double.isNaN(row[thing])) {
          counts[Arrays.binarySearch(values, row[thing] + 0.0)]++;
          raters++;
        }
      }
      for (int a = 0; raters > 1 && a < counts.length; a++) {
        for (int b = 0; b < counts.length; b++) {
          together[a][b] += counts[a] * (counts[b] - (a == b ? 1 : 0)) / (raters - 1);
        }
      }
    }
    return together;
  }

  private static double distance(int a, int b, double[] values, double[] totals, Scale scale) {
    if (a == b) {
      return 0;
    }
    double difference = values[a] - values[b];
    double root =
        switch (scale) {
          case NOMINAL -> 1;
          case ORDINAL -> {
            double between = -(totals[a] + totals[b]) / 2;
            for (int c = Math.min(a, b); c <= Math.max(a, b); c++) {
              between += totals[c];
            }
            yield between;
          }
          case INTERVAL -> difference;
          case RATIO -> difference / (values[a] + values[b]);
        };
    return root * root;
  }
}
