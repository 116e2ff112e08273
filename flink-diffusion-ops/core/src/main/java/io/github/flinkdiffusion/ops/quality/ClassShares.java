/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import java.util.Arrays;
import org.apache.flink.annotation.Internal;

/**
 * What the {@link InceptionScore} of one part needs of images that come and go: their number, how
 * sure the classifier is of them, and the sum of each class's probabilities.
 *
 * <p>Not thread-safe.
 */
@Internal
public final class ClassShares {
  private long count;
  private double certainty;
  private final double[] sums;

  /** Of no images yet, and so many classes. */
  public ClassShares(int classes) {
    this(0, 0, new double[classes]);
  }

  /** As {@link #count}, {@link #certainty} and {@link #sums} gave them. The array is not copied. */
  public ClassShares(long count, double certainty, double[] sums) {
    this.count = count;
    this.certainty = certainty;
    this.sums = sums;
  }

  public long count() {
    return count;
  }

  /** Sum over images of the sum over classes of p log p; at most 0. */
  public double certainty() {
    return certainty;
  }

  /** Sum over images of each class's probability. */
  public double[] sums() {
    return sums;
  }

  /** One image more, by a classifier's values before softmax. */
  public void add(double[] logits) {
    add(logits, 1);
  }

  /** One image less, which must have been added. */
  public void remove(double[] logits) {
    add(logits, -1);
    if (count == 0) {
      // What rounding left.
      certainty = 0;
      Arrays.fill(sums, 0);
    }
  }

  /** All images of the other. */
  public void add(ClassShares other) {
    requireClasses(other.sums.length);
    count += other.count;
    certainty += other.certainty;
    for (int c = 0; c < sums.length; c++) {
      sums[c] += other.sums[c];
    }
  }

  private void add(double[] logits, int sign) {
    requireClasses(logits.length);
    for (int c = 0; c < sums.length; c++) {
      if (!Double.isFinite(logits[c])) {
        throw new QualityException(
            "Value %d of an image's logits is %s; all must be finite".formatted(c, logits[c]));
      }
    }
    count += sign;
    double[] log = InceptionScore.logSoftmax(logits);
    for (int c = 0; c < sums.length; c++) {
      double share = Math.exp(log[c]);
      sums[c] += sign * share;
      certainty += share > 0 ? sign * share * log[c] : 0;
    }
  }

  private void requireClasses(int classes) {
    if (classes != sums.length) {
      throw new QualityException(
          "An image has %d classes; %d are needed".formatted(classes, sums.length));
    }
  }

  /**
   * The Inception Score of all images as one part.
   *
   * @throws QualityException if there are none
   */
  public double score() {
    if (count < 1) {
      throw new QualityException("Inception Score of no images; at least 1 is needed");
    }
    double divergence = certainty / count;
    for (double sum : sums) {
      double share = sum / count;
      divergence -= share > 0 ? share * Math.log(share) : 0;
    }
    return Math.exp(divergence);
  }
}
