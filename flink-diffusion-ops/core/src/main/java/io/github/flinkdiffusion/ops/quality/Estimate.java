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
 * @param error its standard error; NaN where it is not known
 */
@Internal
public record Estimate(double value, double error) {
  /** Of a normal distribution, 95 % are within so many standard errors. */
  private static final double WITHIN = 1.959963984540054;

  /** A figure without an error. */
  public static Estimate of(double value) {
    return new Estimate(value, Double.NaN);
  }

  /**
   * The mean of independent values, with the error that follows from their spread. One value has no
   * spread.
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
    return new Estimate(mean, Math.sqrt(squares / (values.length - 1) / values.length));
  }

  /** Whether there is an interval. */
  public boolean hasInterval() {
    return Double.isFinite(error);
  }

  /** The lower end of the interval of 95 %. */
  public double low() {
    return value - WITHIN * error;
  }

  /** The upper end of the interval of 95 %. */
  public double high() {
    return value + WITHIN * error;
  }
}
