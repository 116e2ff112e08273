/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;

/**
 * {@code DDIMScheduler}: predicts the clean image, then re-noises it to the next level along the
 * predicted noise. With eta = 0 deterministic, with eta = 1 as noisy as DDPM. (Song et al.,
 * Denoising Diffusion Implicit Models, formula 12.)
 */
final class Ddim {

  private Ddim() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    int trainSteps = fields.trainSteps(n, options);
    NoiseSchedule schedule =
        NoiseSchedule.withZeroSnr(
            fields, NoiseSchedule.Defaults.DDPM, "linear", "scaled_linear", "squaredcos_cap_v2");
    Prediction prediction =
        fields.prediction(Prediction.EPSILON, Prediction.SAMPLE, Prediction.VELOCITY);
    Limit limit = Limit.of(fields, true);
    double lastAlphaBar = fields.flag("set_alpha_to_one", true) ? 1 : schedule.alphaBar(0);
    double eta = options.eta() == null ? 0 : options.eta();
    double[] timesteps = Timesteps.whole(fields, "leading", n, trainSteps);
    PlanBuilder plan = new PlanBuilder(fields, n, 1);
    for (int i = options.skippedSteps(); i < n; i++) {
      int t = (int) timesteps[i];
      // The reference strides by T/n whatever the spacing, so that with linspace this is not
      // timesteps[i + 1].
      int previous = t - trainSteps / n;
      double from = schedule.alphaBar(t);
      double to = previous >= 0 ? schedule.alphaBar(previous) : lastAlphaBar;
      double alpha = Math.sqrt(from);
      double sigma = Math.sqrt(1 - from);
      Call call = plan.call(t).level(alpha, sigma);
      Linear image = call.limited(prediction.image(call.x(), call.out(), alpha, sigma), limit);
      Linear noise =
          options.useClippedModelOutput()
              ? call.x().plus(image.times(-alpha)).times(1 / sigma)
              : prediction.noise(call.x(), call.out(), alpha, sigma);
      double variance = (1 - to) / (1 - from) * (1 - from / to);
      double deviation = eta * Math.sqrt(variance);
      Linear next =
          image.times(Math.sqrt(to)).plus(noise.times(Math.sqrt(1 - to - deviation * deviation)));
      call.next(eta > 0 ? next.plus(call.noise().times(deviation)) : next);
    }
    return plan.build();
  }
}
