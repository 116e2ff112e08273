/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

/**
 * How a step's noise is weighted when the network predicts its variance, value by value, in the
 * second half of its output.
 *
 * @param minLogVariance what a prediction of -1 stands for
 * @param maxLogVariance what a prediction of 1 stands for
 * @param range whether the prediction lies between those two ({@code learned_range}) or is the
 *     variance itself ({@code learned})
 */
record LearnedVariance(double minLogVariance, double maxLogVariance, boolean range) {

  /**
   * Scales noise in place.
   *
   * @param output the network's output: as many values as noise, then as many predictions
   */
  void scale(float[] noise, float[] output) {
    for (int i = 0; i < noise.length; i++) {
      double predicted = output[noise.length + i];
      noise[i] = (float) (noise[i] * deviation(predicted));
    }
  }

  private double deviation(double predicted) {
    if (!range) {
      return Math.sqrt(predicted);
    }
    double share = (predicted + 1) / 2;
    return Math.exp(0.5 * (share * maxLogVariance + (1 - share) * minLogVariance));
  }
}
