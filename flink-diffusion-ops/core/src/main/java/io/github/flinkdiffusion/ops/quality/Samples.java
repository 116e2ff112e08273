/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

/** Checks of features, a row for each sample. */
final class Samples {
  private Samples() {}

  /**
   * @throws QualityException if a row has another number of values, or one that is not finite
   */
  static void requireAlike(String what, float[][] samples, int features) {
    if (features == 0) {
      throw new QualityException("The %s have no values; at least 1 is needed".formatted(what));
    }
    for (int i = 0; i < samples.length; i++) {
      if (samples[i].length != features) {
        throw new QualityException(
            "Row %d of the %s has %d values; %d are needed"
                .formatted(i, what, samples[i].length, features));
      }
      for (float value : samples[i]) {
        if (!Float.isFinite(value)) {
          throw new QualityException(
              "Row %d of the %s holds %s; finite values are needed".formatted(i, what, value));
        }
      }
    }
  }

  static double dot(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += (double) a[i] * b[i];
    }
    return sum;
  }

  /**
   * Of length 1.
   *
   * @throws QualityException for a row of zeros, which has no direction
   */
  static double[] direction(String what, int row, float[] values) {
    double length = Math.sqrt(dot(values, values));
    if (length == 0) {
      throw new QualityException("Row %d of the %s has zeros only".formatted(row, what));
    }
    double[] unit = new double[values.length];
    for (int i = 0; i < unit.length; i++) {
      unit[i] = values[i] / length;
    }
    return unit;
  }

  /**
   * The same of numbers in double precision.
   *
   * @throws QualityException for a row of zeros, which has no direction
   */
  static double[] direction(String what, int row, double[] values) {
    // Divided by the largest first, as squares of very large or small numbers are not finite or 0.
    double largest = 0;
    for (double value : values) {
      largest = Math.max(largest, Math.abs(value));
    }
    if (largest == 0) {
      throw new QualityException("Row %d of the %s has zeros only".formatted(row, what));
    }
    double[] unit = new double[values.length];
    double squares = 0;
    for (int i = 0; i < unit.length; i++) {
      unit[i] = values[i] / largest;
      squares += unit[i] * unit[i];
    }
    double length = Math.sqrt(squares);
    for (int i = 0; i < unit.length; i++) {
      unit[i] /= length;
    }
    return unit;
  }
}
