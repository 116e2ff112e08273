/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.evaluation;

/**
 * How a plan's images are drawn.
 *
 * @param model folder
 * @param steps of denoising
 * @param guidance scale; null takes the model's default
 */
record Sampler(String model, int steps, Double guidance) {
  Sampler {
    if (model == null) {
      throw new EvaluationException("'model' is missing; expected a model folder");
    }
    if (steps < 1) {
      throw new EvaluationException("'steps' is %d; expected 1 or more".formatted(steps));
    }
  }
}
