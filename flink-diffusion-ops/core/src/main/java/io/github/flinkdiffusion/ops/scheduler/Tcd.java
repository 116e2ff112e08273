/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;

/**
 * {@code TCDScheduler}: trajectory consistency distillation. Each call jumps along the trajectory
 * to a level s between the image and the next level, then noises the rest of the way; eta, by
 * default 0.3, says how far below it aims. (Zheng et al., Trajectory Consistency Distillation.)
 */
final class Tcd {

  private static final double DEFAULT_ETA = 0.3;

  private Tcd() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    NoiseSchedule schedule =
        NoiseSchedule.withZeroSnr(
            fields,
            NoiseSchedule.Defaults.STABLE_DIFFUSION,
            "linear",
            "scaled_linear",
            "squaredcos_cap_v2");
    Prediction prediction =
        fields.prediction(Prediction.EPSILON, Prediction.SAMPLE, Prediction.VELOCITY);
    double eta = options.eta() == null ? DEFAULT_ETA : options.eta();
    int[] timesteps = Lcm.timesteps(fields, n, options);
    PlanBuilder plan = new PlanBuilder(fields, n, 1);
    for (int i = options.skippedSteps(); i < n; i++) {
      int t = timesteps[i];
      int next = i + 1 < n ? timesteps[i + 1] : 0;
      // In float32, as PyTorch multiplies an integer tensor: the floor depends on it.
      int below = (int) Math.floor((float) (1 - eta) * next);
      double alpha = Math.sqrt(schedule.alphaBar(t));
      double sigma = Math.sqrt(1 - schedule.alphaBar(t));
      double alphaBarBelow = schedule.alphaBar(below);
      Call call = plan.call(t).level(alpha, sigma);
      Linear jumped =
          prediction
              .image(call.x(), call.out(), alpha, sigma)
              .times(Math.sqrt(alphaBarBelow))
              .plus(
                  prediction
                      .noise(call.x(), call.out(), alpha, sigma)
                      .times(Math.sqrt(1 - alphaBarBelow)));
      if (eta > 0 && i + 1 < n) {
        double kept = schedule.alphaBar(next) / alphaBarBelow;
        call.next(jumped.times(Math.sqrt(kept)).plus(call.noise().times(Math.sqrt(1 - kept))));
      } else {
        call.next(jumped);
      }
    }
    return plan.build();
  }
}
