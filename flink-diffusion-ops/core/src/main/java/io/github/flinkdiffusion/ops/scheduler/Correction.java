/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

/**
 * A step of Langevin dynamics along a score: its length follows from how large the score is beside
 * the noise that is added, so it is no row of a table. (Song et al. 2021, algorithm 4.)
 *
 * @param signalToNoise how long the step along the score is beside the noise ({@code snr})
 * @param temperature factor of the noise that is added, but not of that which is measured; 1 is the
 *     reference
 */
record Correction(double signalToNoise, double temperature) {

  Correction atTemperature(double temperature) {
    return new Correction(signalToNoise, temperature);
  }

  /** What is added to a sample. */
  float[] of(float[] score, float[] noise) {
    double ratio = signalToNoise * norm(noise) / norm(score);
    double step = 2 * ratio * ratio;
    double deviation = Math.sqrt(2 * step) * temperature;
    float[] added = new float[noise.length];
    for (int i = 0; i < added.length; i++) {
      added[i] = (float) (step * score[i] + deviation * noise[i]);
    }
    return added;
  }

  private static double norm(float[] values) {
    double sum = 0;
    for (float value : values) {
      sum += (double) value * value;
    }
    return Math.sqrt(sum);
  }
}
