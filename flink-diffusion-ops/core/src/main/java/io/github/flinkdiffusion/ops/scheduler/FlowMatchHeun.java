/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;

/**
 * {@code FlowMatchHeunDiscreteScheduler}: an Euler step along a rectified flow, taken again with
 * the mean of the slopes at both its ends. Two calls a step, but one for the last, which ends at
 * sigma 0. Sigmas are shifted by a constant alone. (Karras et al. 2022, algorithm 2; Esser et al.
 * 2024.)
 */
final class FlowMatchHeun {

  private FlowMatchHeun() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    int trainSteps = fields.trainSteps(n, options);
    if (fields.flag("use_dynamic_shifting", false)) {
      throw fields.unsupported(
          "use_dynamic_shifting", true, "false: this class takes no shift from the image's size");
    }
    double shift = fields.number("shift", 1);
    // The reference shifts the training schedule when it is made and its two ends once more here.
    double least = FlowMatchEuler.shifted(1.0 / trainSteps, shift);
    double[] sigmas = Sigmas.karras(1, least, n, 1);
    for (int i = 0; i < n; i++) {
      sigmas[i] = FlowMatchEuler.shifted(sigmas[i], shift);
    }
    double[] all = SigmaSpace.append(sigmas, 0);
    PlanBuilder plan = new PlanBuilder(fields, n, 1);
    for (int i = options.skippedSteps(); i < n; i++) {
      double sigma = all[i];
      double to = all[i + 1];
      Call tried = plan.call(sigma * trainSteps).level(1 - sigma, sigma);
      Linear euler = tried.x().plus(tried.out().times(to - sigma));
      if (i == n - 1) {
        tried.next(euler);
        break;
      }
      // Half a step along the first slope; the other half follows the second.
      tried.next(euler, tried.x().plus(tried.out().times((to - sigma) / 2)));
      Call taken = plan.call(to * trainSteps).level(1 - to, to);
      taken.next(taken.h(0).plus(taken.out().times((to - sigma) / 2)));
    }
    return plan.build();
  }
}
