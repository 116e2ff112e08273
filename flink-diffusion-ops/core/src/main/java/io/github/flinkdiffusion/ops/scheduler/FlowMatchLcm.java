/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;

/**
 * {@code FlowMatchLCMScheduler}: multistep sampling of a consistency model of a rectified flow.
 * Each call jumps to a clean image and noises it to the next level, for which it draws noise, at
 * the last level too. Sigmas are those of {@link FlowMatchEuler}. (Luo et al. 2023; Esser et al.
 * 2024.)
 */
final class FlowMatchLcm {

  private FlowMatchLcm() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    if (fields.has("scale_factors")) {
      throw fields.unsupported(
          "scale_factors", "a list", "null: samples do not grow from step to step");
    }
    FlowMatchEuler.Levels levels = FlowMatchEuler.levels(fields, n, options);
    PlanBuilder plan = new PlanBuilder(fields, n, 1);
    for (int i = options.skippedSteps(); i < n; i++) {
      double sigma = levels.sigmas()[i];
      double to = levels.sigmas()[i + 1];
      Call call = plan.call(levels.timesteps()[i]).level(1 - sigma, sigma);
      Linear image = call.x().minus(call.out().times(sigma));
      call.next(image.times(1 - to).plus(call.noise().times(to)));
    }
    return plan.build();
  }
}
