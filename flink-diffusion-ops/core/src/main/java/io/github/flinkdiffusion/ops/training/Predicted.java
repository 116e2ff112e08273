/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;

/**
 * What a prediction says of a noisy sample, whatever it predicts.
 *
 * @param clean the clean sample
 * @param noise the noise in it
 */
record Predicted(Value clean, Value noise) {
  /**
   * @param noisy {@code signal * clean + level * noise}
   */
  static Predicted of(
      Method m, PredictionTarget target, Value prediction, Value noisy, Value signal, Value level) {
    return switch (target) {
      case EPSILON ->
          new Predicted(
              m.divide(m.subtract(noisy, m.multiply(level, prediction)), signal), prediction);
      case SAMPLE ->
          new Predicted(
              prediction, m.divide(m.subtract(noisy, m.multiply(signal, prediction)), level));
      case V ->
          new Predicted(
              m.subtract(m.multiply(signal, noisy), m.multiply(level, prediction)),
              m.add(m.multiply(level, noisy), m.multiply(signal, prediction)));
      case FLOW ->
          new Predicted(
              m.subtract(noisy, m.multiply(level, prediction)),
              m.add(noisy, m.multiply(signal, prediction)));
    };
  }

  /** The prediction that a network should have made of the noisy sample, for it to say this. */
  Value as(Method m, PredictionTarget target, Value signal, Value level) {
    return switch (target) {
      case EPSILON -> noise;
      case SAMPLE -> clean;
      case V -> m.subtract(m.multiply(signal, noise), m.multiply(level, clean));
      case FLOW -> m.subtract(noise, clean);
    };
  }

  /** The sample at another level, without fresh noise: a step of DDIM. */
  Value at(Method m, Value signal, Value level) {
    return m.add(m.multiply(signal, clean), m.multiply(level, noise));
  }
}
