/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import org.apache.commons.math3.linear.Array2DRowRealMatrix;
import org.apache.commons.math3.linear.EigenDecomposition;
import org.apache.flink.annotation.Internal;

/** How many different images there are in effect. */
@Internal
public final class Diversity {
  /** Whose eigenvalues are found in seconds. */
  private static final int MOST = 2000;

  private Diversity() {}

  /**
   * The Vendi score (D. Friedman and A. B. Dieng, TMLR 2023) with the cosine as similarity: the
   * exponential of the entropy of the similarities' eigenvalues. 1 if all are the same in
   * direction, their number if no two have anything in common.
   *
   * @throws QualityException if there are none, both samples and features are more than 2,000, or
   *     they are zero, not finite or of different lengths
   */
  public static double vendi(float[][] features) {
    if (features.length == 0) {
      throw new QualityException("The Vendi score of no samples; at least 1 is needed");
    }
    int count = features.length;
    int length = features[0].length;
    Samples.requireAlike("features", features, length);
    if (Math.min(count, length) > MOST) {
      throw new QualityException(
          "The Vendi score of %d samples of %d features; one of both may be at most %d"
              .formatted(count, length, MOST));
    }
    double[][] rows = new double[count][];
    for (int i = 0; i < count; i++) {
      rows[i] = scaled(Samples.direction("features", i, features[i]), 1.0 / count);
    }
    return vendi(rows, length);
  }

  /**
   * The same of a sample, whose equal vectors count as often as they came. Of more different
   * vectors than the sample holds, it is the score of those in it.
   *
   * @throws QualityException as {@link #vendi(float[][])}
   */
  public static double vendi(FeatureSample sample) {
    int count = sample.hashes().length;
    int length = sample.features();
    if (count == 0 || Math.min(count, length) > MOST) {
      throw new QualityException(
          "The Vendi score of %d samples of %d features; at least 1 is needed, and one of both may be at most %d"
              .formatted(count, length, MOST));
    }
    double[][] rows = sample.rows();
    long[] counts = sample.orderedCounts();
    double all = sample.count();
    for (int i = 0; i < count; i++) {
      rows[i] = scaled(Samples.direction("features", i, rows[i]), counts[i] / all);
    }
    return vendi(rows, length);
  }

  private static double[] scaled(double[] unit, double share) {
    double root = Math.sqrt(share);
    for (int i = 0; i < unit.length; i++) {
      unit[i] *= root;
    }
    return unit;
  }

  /** Of rows whose squared lengths are their shares. */
  private static double vendi(double[][] shares, int length) {
    // X X' and X' X have the same eigenvalues but for zeros.
    Array2DRowRealMatrix rows = new Array2DRowRealMatrix(shares, false);
    double[] eigenvalues =
        new EigenDecomposition(
                shares.length <= length
                    ? rows.multiply(rows.transpose())
                    : rows.transpose().multiply(rows))
            .getRealEigenvalues();
    double entropy = 0;
    for (double share : eigenvalues) {
      entropy -= share > 0 ? share * Math.log(share) : 0;
    }
    return Math.exp(entropy);
  }
}
