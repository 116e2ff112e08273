/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import java.util.Arrays;
import java.util.List;

/**
 * Where losses lie. Neither number is moved far by a few losses that lie elsewhere.
 *
 * @param median of the losses
 * @param scatter about the median: the median distance from it, scaled so that it is the standard
 *     deviation of Gaussian losses
 */
record LossLevel(double median, double scatter) {
  /** A Gaussian's standard deviation in median distances. */
  private static final double DEVIATION = 1.4826;

  /**
   * @param losses one at least, all finite
   */
  static LossLevel of(List<Float> losses) {
    double[] values = losses.stream().mapToDouble(Float::doubleValue).toArray();
    double median = median(values);
    for (int i = 0; i < values.length; i++) {
      values[i] = Math.abs(values[i] - median);
    }
    return new LossLevel(median, DEVIATION * median(values));
  }

  private static double median(double[] values) {
    Arrays.sort(values);
    int middle = values.length / 2;
    return values.length % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  }
}
