/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;

/**
 * {@code ScoreSdeVeScheduler}: samples are image + sigma * noise, the network's output is a score,
 * and each step first corrects the sample at its sigma by Langevin dynamics ({@code correct_steps}
 * calls), then goes down to the next sigma. The last step ends at the mean. (Song et al. 2021.) The
 * network gets sigma.
 */
final class ScoreSdeVe {

  private ScoreSdeVe() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    int trainSteps = fields.integer("num_train_timesteps", 2000, 1, 1_000_000);
    fields.requireSteps(n, trainSteps, "num_train_timesteps", options);
    fields.requireAllSteps(options);
    double signalToNoise = fields.number("snr", 0.15);
    double least = fields.number("sigma_min", 0.01);
    double greatest = fields.number("sigma_max", 1348);
    double end = fields.number("sampling_eps", 1e-5);
    int corrections = fields.integer("correct_steps", 1, 0, 1000);
    if (!(least > 0 && greatest > 0 && Double.isFinite(greatest / least))) {
      throw fields.unsupported(
          "sigma_min, sigma_max", least + ", " + greatest, "two numbers above 0");
    }
    float[] times = NoiseSchedule.linspace(1, end, n);
    float[] levels = NoiseSchedule.linspace(Math.log(least), Math.log(greatest), n);
    PlanBuilder plan = new PlanBuilder(fields, n, greatest);
    for (int i = 0; i < n; i++) {
      double sigma = (float) (least * Math.pow(greatest / least, times[i]));
      // The reference cuts a product in float32 to a place among the levels.
      int place = (int) (times[i] * (n - 1));
      if (place < 0 || place >= n) {
        throw fields.unsupported("sampling_eps", end, "0..1");
      }
      double from = (float) Math.exp(levels[place]);
      double to = place == 0 ? 0 : (float) Math.exp(levels[place - 1]);
      double variance = from * from - to * to;
      for (int j = 0; j < corrections; j++) {
        Call call = plan.call(sigma).level(1, sigma);
        call.next(call.x().plus(call.corrected(new Correction(signalToNoise, 1))));
      }
      Call call = plan.call(sigma).level(1, sigma);
      Linear mean = call.x().plus(call.out().times(variance));
      double deviation = i < n - 1 ? Math.sqrt(variance) : 0;
      call.next(mean.plus(call.noise().times(deviation)));
    }
    return plan.build();
  }
}
