/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;

/**
 * {@code CMStochasticIterativeScheduler}: multistep sampling of a consistency model. Each call
 * jumps to a clean image and noises it to the next sigma; a way of more than one step draws noise
 * for its last, too, and gives it no weight. (Song et al., Consistency Models, algorithm 1.)
 */
final class ConsistencyModel {

  private ConsistencyModel() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    int trainSteps = fields.integer("num_train_timesteps", 40, 1, 1_000_000);
    fields.requireSteps(n, trainSteps, "num_train_timesteps", options);
    double least = fields.number("sigma_min", 0.002);
    double greatest = fields.number("sigma_max", 80);
    double data = fields.number("sigma_data", 0.5);
    double noiseScale = fields.number("s_noise", 1);
    Limit limit = fields.flag("clip_denoised", true) ? new Limit.Clamp(1) : Limit.NONE;
    double[] exact = sigmas(fields, n, trainSteps, least, greatest, options);
    double[] sigmas = SigmaSpace.append(exact, least);
    PlanBuilder plan = new PlanBuilder(fields, n, greatest);
    for (int i = options.skippedSteps(); i < n; i++) {
      double sigma = sigmas[i];
      double norm = sigma * sigma + data * data;
      double above = sigma - least;
      Call call =
          plan.call(250 * Math.log(exact[i] + 1e-44))
              .inputScale(1 / Math.sqrt(norm))
              .level(1, sigma);
      Linear image =
          call.out()
              .times(above * data / Math.sqrt(norm))
              .plus(call.x().times(data * data / (above * above + data * data)));
      Linear next = call.limited(image, limit);
      if (n > 1) {
        double to = Math.max(least, Math.min(greatest, sigmas[i + 1]));
        double up = Math.sqrt(Math.max(0, to * to - least * least));
        next = next.plus(call.noise().times(noiseScale * up));
      }
      call.next(next);
    }
    return plan.build();
  }

  /** At n of the training's places, the noisiest first, or at those that a caller lists. */
  private static double[] sigmas(
      Fields fields,
      int n,
      int trainSteps,
      double least,
      double greatest,
      SamplingOptions options) {
    double rho = fields.number("rho", 7);
    double from = Math.pow(greatest, 1 / rho);
    double to = Math.pow(least, 1 / rho);
    double[] listed =
        options.timesteps().isEmpty()
            ? new double[0]
            : fields.listed(options.timesteps(), n, true, trainSteps - 1);
    double[] sigmas = new double[n];
    for (int i = 0; i < n; i++) {
      double place = listed.length == 0 ? (double) i * (trainSteps / n) : listed[n - 1 - i];
      sigmas[i] = Math.pow(from + place / (trainSteps - 1) * (to - from), rho);
    }
    return sigmas;
  }
}
