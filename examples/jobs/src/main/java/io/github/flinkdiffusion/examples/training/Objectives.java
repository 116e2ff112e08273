/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import io.github.flinkdiffusion.ops.scheduler.SchedulerConfig;
import io.github.flinkdiffusion.ops.scheduler.TrainingLevels;
import io.github.flinkdiffusion.ops.training.Denoiser;
import io.github.flinkdiffusion.ops.training.DiffusionInputs;
import io.github.flinkdiffusion.ops.training.DiffusionObjective;
import io.github.flinkdiffusion.ops.training.DiffusionObjective.Variance;
import io.github.flinkdiffusion.ops.training.PredictionTarget;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.util.Arrays;
import java.util.stream.Collectors;

/** A recipe's loss of a model, whose scheduler says what is predicted. */
final class Objectives {
  private Objectives() {}

  static DiffusionInputs inputs(Recipe recipe, ModelFolder base, Denoiser denoiser, int channels) {
    Config config = base.component("scheduler").config();
    SchedulerConfig scheduler = SchedulerConfig.fromJson(config.node(), config.source());
    Recipe.Loss loss = recipe.loss();
    DiffusionObjective objective =
        new DiffusionObjective(
            denoiser, channels, target(config, scheduler), loss.distance(), variance(config));
    return new DiffusionInputs(
        objective,
        TrainingLevels.of(scheduler),
        loss.weight(),
        loss.threshold(),
        loss.noiseOffset());
  }

  /** Whether the scheduler's config says that the network predicts variances. */
  static Variance variance(Config scheduler) {
    return scheduler.string("variance_type", "").equals("learned_range")
        ? Variance.LEARNED_RANGE
        : Variance.FIXED;
  }

  private static PredictionTarget target(Config config, SchedulerConfig scheduler) {
    if (scheduler.className().startsWith("FlowMatch")) {
      return PredictionTarget.FLOW;
    }
    String type = config.string("prediction_type", PredictionTarget.EPSILON.predictionType());
    return Arrays.stream(PredictionTarget.values())
        .filter(target -> target.predictionType().equals(type))
        .findFirst()
        .orElseThrow(
            () ->
                config.unsupported(
                    "prediction_type",
                    type,
                    Arrays.stream(PredictionTarget.values())
                        .map(PredictionTarget::predictionType)
                        .collect(Collectors.joining(", "))));
  }
}
