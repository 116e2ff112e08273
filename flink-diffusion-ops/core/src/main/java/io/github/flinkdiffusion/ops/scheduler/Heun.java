/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;

/**
 * {@code HeunDiscreteScheduler}: an Euler step in sigma, taken again with the mean of the slopes at
 * both its ends. Two calls a step, but one for the last, which ends at sigma 0. (Karras et al.,
 * algorithm 2.)
 */
final class Heun {

  private Heun() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    int trainSteps = fields.trainSteps(n, options);
    NoiseSchedule schedule =
        NoiseSchedule.of(
            fields,
            NoiseSchedule.Defaults.K_DIFFUSION,
            "linear",
            "scaled_linear",
            "squaredcos_cap_v2",
            "exp");
    Prediction prediction =
        fields.prediction(Prediction.EPSILON, Prediction.SAMPLE, Prediction.VELOCITY);
    Limit limit = Limit.clampOf(fields, false);
    SigmaSpace space = SigmaSpace.of(fields, schedule, n, trainSteps, options);
    PlanBuilder plan = new PlanBuilder(fields, n, space.initNoiseSigma(fields));
    for (int i = options.skippedSteps(); i < n; i++) {
      double sigma = space.sigmas()[i];
      double to = space.sigmas()[i + 1];
      Call tried = SigmaSpace.open(plan, space.timesteps()[i], sigma);
      Linear slope = SigmaSpace.slope(tried, prediction, sigma, limit);
      Linear euler = tried.x().plus(slope.times(to - sigma));
      if (i == n - 1) {
        tried.next(euler);
        break;
      }
      // Half a step along the first slope; the other half follows the second.
      tried.next(euler, tried.x().plus(slope.times((to - sigma) / 2)));
      Call taken = SigmaSpace.open(plan, space.timesteps()[i + 1], to);
      Linear slopeAtEnd = SigmaSpace.slope(taken, prediction, to, limit);
      taken.next(taken.h(0).plus(slopeAtEnd.times((to - sigma) / 2)));
    }
    return plan.build();
  }
}
