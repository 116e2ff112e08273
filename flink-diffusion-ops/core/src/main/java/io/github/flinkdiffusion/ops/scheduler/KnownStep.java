/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.noise.NoiseSource;
import java.util.Arrays;

/**
 * What RePaint does after a step: it puts the known part of the image back, with the noise that the
 * step drew, and then may take the whole sample back to more noise, with fresh one each time.
 *
 * @param signal weight of the known image
 * @param noise weight of the step's noise in the known part
 * @param betas shares of noise that the steps back add, one after the other; may be empty
 * @param temperature factor of all this noise; 1 is the reference
 */
record KnownStep(double signal, double noise, float[] betas, double temperature) {

  KnownStep atTemperature(double temperature) {
    return new KnownStep(signal, noise, betas, temperature);
  }

  /**
   * Changes a sample after the step.
   *
   * @param drawn the step's own noise
   * @param source of the noise of the steps back
   */
  void apply(float[] sample, KnownPart part, float[] drawn, NoiseSource source) {
    float[] mask = part.mask();
    double level = noise * temperature;
    for (int i = 0; i < sample.length; i++) {
      double kept = mask[i % mask.length];
      double known = signal * part.image()[i] + level * drawn[i];
      sample[i] = (float) (kept * known + (1 - kept) * sample[i]);
    }
    for (float beta : betas) {
      double left = Math.sqrt(1 - (double) beta);
      double added = Math.sqrt(beta) * temperature;
      float[] fresh = source.gaussian(sample.length);
      for (int i = 0; i < sample.length; i++) {
        sample[i] = (float) (left * sample[i] + added * fresh[i]);
      }
    }
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof KnownStep that
        && signal == that.signal
        && noise == that.noise
        && temperature == that.temperature
        && Arrays.equals(betas, that.betas);
  }

  @Override
  public int hashCode() {
    return 31 * Double.hashCode(signal) + Arrays.hashCode(betas);
  }
}
