/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;

/**
 * {@code DDIMInverseScheduler}: DDIM run backwards, from a clean image to the noise that would make
 * it. Starts from an image ({@link SamplerState#restore} at call 0), and its timesteps ascend.
 */
final class DdimInverse {

  private DdimInverse() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    int trainSteps = fields.trainSteps(n, options);
    NoiseSchedule schedule =
        NoiseSchedule.withZeroSnr(
            fields, NoiseSchedule.Defaults.DDPM, "linear", "scaled_linear", "squaredcos_cap_v2");
    Prediction prediction =
        fields.prediction(Prediction.EPSILON, Prediction.SAMPLE, Prediction.VELOCITY);
    Limit limit = Limit.clampOf(fields, true);
    // set_alpha_to_zero is the older name of the same switch, and wins where both are.
    boolean toOne =
        fields.has("set_alpha_to_zero")
            ? fields.flag("set_alpha_to_zero", true)
            : fields.flag("set_alpha_to_one", true);
    double firstAlphaBar = toOne ? 1 : schedule.alphaBar(0);
    fields.choice("timestep_spacing", "leading", "leading", "trailing");
    double[] descending = Timesteps.whole(fields, "leading", n, trainSteps);
    PlanBuilder plan = new PlanBuilder(fields, n, 1);
    for (int i = options.skippedSteps(); i < n; i++) {
      int t = (int) descending[n - 1 - i];
      int cleaner = t - trainSteps / n;
      double from = cleaner >= 0 ? schedule.alphaBar(cleaner) : firstAlphaBar;
      double to = schedule.alphaBar(t);
      double alpha = Math.sqrt(from);
      double sigma = Math.sqrt(1 - from);
      Call call = plan.call(t).level(alpha, sigma);
      Linear image = call.limited(prediction.image(call.x(), call.out(), alpha, sigma), limit);
      Linear noise = prediction.noise(call.x(), call.out(), alpha, sigma);
      call.next(image.times(Math.sqrt(to)).plus(noise.times(Math.sqrt(1 - to))));
    }
    return plan.build();
  }
}
