/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import java.util.Arrays;
import org.apache.flink.annotation.Internal;

/**
 * Number, mean and scatter of feature vectors, kept while they come and go: all that a Fréchet
 * distance needs, in {@code features²/2} numbers however many vectors there are.
 *
 * <p>Updates are B. P. Welford's, merging is T. F. Chan's, in double precision: neither subtracts
 * large sums from each other, so a mean far from 0 costs no digits. Not thread-safe.
 */
@Internal
public final class FeatureMoments {
  private final double[] mean;
  private final double[] scatter;
  private long count;

  /** None yet, of vectors of so many features. */
  public FeatureMoments(int features) {
    this(0, new double[features], new double[packed(features)]);
  }

  /**
   * As {@link #count}, {@link #mean} and {@link #scatter} gave them. The arrays are not copied.
   *
   * @throws QualityException if they do not belong together
   */
  public FeatureMoments(long count, double[] mean, double[] scatter) {
    if (mean.length == 0 || scatter.length != packed(mean.length) || count < 0) {
      throw new QualityException(
          "Moments of %d vectors with a mean of %d and a scatter of %d numbers; of n features, n and n(n+1)/2 are needed"
              .formatted(count, mean.length, scatter.length));
    }
    this.count = count;
    this.mean = mean;
    this.scatter = scatter;
  }

  private static int packed(int features) {
    return Math.multiplyExact(features, features + 1) / 2;
  }

  public int features() {
    return mean.length;
  }

  public long count() {
    return count;
  }

  /** The mean vector; zeros where there is no vector. Not a copy. */
  public double[] mean() {
    return mean;
  }

  /**
   * Sums of products of deviations from the mean, the lower triangle row by row: {@code (0,0),
   * (1,0), (1,1), (2,0) ...}. Not a copy.
   */
  public double[] scatter() {
    return scatter;
  }

  /** One vector more. */
  public void add(double[] vector) {
    count++;
    move(deviation(vector), 1.0 / count, (count - 1.0) / count);
  }

  /** One vector less, which must have been added. Without any, everything is exactly 0 again. */
  public void remove(double[] vector) {
    if (count <= 1) {
      clear();
      return;
    }
    count--;
    move(deviation(vector), -1.0 / count, -(count + 1.0) / count);
  }

  /** All vectors of the other. */
  public void add(FeatureMoments other) {
    if (other.count == 0) {
      return;
    }
    double[] deviation = deviation(other.mean);
    double sum = (double) count + other.count;
    move(deviation, other.count / sum, count * (other.count / sum));
    for (int i = 0; i < scatter.length; i++) {
      scatter[i] += other.scatter[i];
    }
    count += other.count;
  }

  /** From the mean, of as many features. */
  private double[] deviation(double[] vector) {
    if (vector.length != mean.length) {
      throw new QualityException(
          "A vector has %d features; %d are needed".formatted(vector.length, mean.length));
    }
    double[] deviation = new double[vector.length];
    for (int i = 0; i < deviation.length; i++) {
      deviation[i] = vector[i] - mean[i];
    }
    return deviation;
  }

  private void move(double[] deviation, double ofMean, double ofScatter) {
    for (int i = 0, at = 0; i < mean.length; i++) {
      double scaled = ofScatter * deviation[i];
      for (int j = 0; j <= i; j++) {
        scatter[at++] += scaled * deviation[j];
      }
      mean[i] += ofMean * deviation[i];
    }
  }

  private void clear() {
    count = 0;
    Arrays.fill(mean, 0);
    Arrays.fill(scatter, 0);
  }

  /** Covariance of the vectors as a sample, that is, over {@code count - 1}. */
  double[][] covariance() {
    double[][] covariance = new double[mean.length][mean.length];
    for (int i = 0, at = 0; i < mean.length; i++) {
      for (int j = 0; j <= i; j++) {
        covariance[i][j] = scatter[at++] / (count - 1);
        covariance[j][i] = covariance[i][j];
      }
    }
    return covariance;
  }
}
