/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import java.util.Arrays;
import org.apache.flink.annotation.Internal;

/**
 * A figure from a sample of images, and how far another sample of as many would move it.
 *
 * @param value the figure
 * @param low the lower end of its interval of 95 %; NaN where there is none
 * @param high the upper end
 */
@Internal
public record Estimate(double value, double low, double high) {
  /** Of a normal distribution, 95 % are within so many standard errors. */
  private static final double WITHIN = 1.959963984540054;

  /** A figure without an interval. */
  public static Estimate of(double value) {
    return withError(value, Double.NaN);
  }

  /**
   * A figure with so many standard errors on both sides as hold 95 % of a normal distribution.
   *
   * @param error NaN where it is not known
   */
  public static Estimate withError(double value, double error) {
    return new Estimate(value, value - WITHIN * error, value + WITHIN * error);
  }

  /**
   * The mean of independent values, with the error that follows from their spread. One value has no
   * spread, and so no interval.
   *
   * @throws QualityException if there is none
   */
  public static Estimate ofMean(double[] values) {
    if (values.length == 0) {
      throw new QualityException("The mean of no values; at least 1 is needed");
    }
    double mean = Arrays.stream(values).sum() / values.length;
    double squares = 0;
    for (double value : values) {
      squares += (value - mean) * (value - mean);
    }
    return withError(mean, Math.sqrt(squares / (values.length - 1) / values.length));
  }

  /**
   * A share of independent cases, with E. B. Wilson's interval, which has a width at 0 and 1, too.
   *
   * @param count of cases, at least 1
   */
  public static Estimate ofShare(double share, long count) {
    double square = WITHIN * WITHIN;
    double middle = (share + square / (2 * count)) / (1 + square / count);
    double width =
        WITHIN
            * Math.sqrt((share * (1 - share) + square / (4 * count)) / count)
            / (1 + square / count);
    // Rounding may put an end of 0 or 1 beyond the share.
    return new Estimate(share, Math.min(share, middle - width), Math.max(share, middle + width));
  }

  /** Whether there is an interval. */
  public boolean hasInterval() {
    return Double.isFinite(low) && Double.isFinite(high);
  }

  /** The standard error, of an interval that came from one. */
  double error() {
    return (high - low) / (2 * WITHIN);
  }
}
