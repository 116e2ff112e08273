/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;

/**
 * {@code DDPMScheduler}: ancestral sampling from the posterior of the forward process. (Ho et al.,
 * Denoising Diffusion Probabilistic Models, formulas 6 and 7.)
 *
 * <p>{@code fixed_large_log} is taken for what its name says, the variance of {@code fixed_large};
 * the reference takes the square root of a negative logarithm there and returns NaN.
 */
final class Ddpm {

  static final String[] BETA_SCHEDULES = {
    "linear", "scaled_linear", "squaredcos_cap_v2", "laplace", "sigmoid"
  };

  private static final double LEAST_VARIANCE = 1e-20;

  private Ddpm() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    int trainSteps = fields.trainSteps(n, options);
    NoiseSchedule schedule =
        NoiseSchedule.withZeroSnr(fields, NoiseSchedule.Defaults.DDPM, BETA_SCHEDULES);
    Prediction prediction =
        fields.prediction(Prediction.EPSILON, Prediction.SAMPLE, Prediction.VELOCITY);
    Limit limit = Limit.of(fields, true);
    String varianceType =
        fields.optionalChoice(
            "variance_type",
            "fixed_small",
            "fixed_small",
            "fixed_small_log",
            "fixed_large",
            "fixed_large_log",
            "learned",
            "learned_range");
    double[] timesteps =
        options.timesteps().isEmpty()
            ? Timesteps.whole(fields, "leading", n, trainSteps)
            : fields.listed(options.timesteps(), n, true, trainSteps - 1);
    PlanBuilder plan = new PlanBuilder(fields, n, 1);
    if (varianceType.startsWith("learned")) {
      plan.outputHasVariance();
    }
    for (int i = options.skippedSteps(); i < n; i++) {
      int t = (int) timesteps[i];
      double from = schedule.alphaBar(t);
      double to = i + 1 < n ? schedule.alphaBar((int) timesteps[i + 1]) : 1;
      double stepAlpha = from / to;
      double stepBeta = 1 - stepAlpha;
      double alpha = Math.sqrt(from);
      double sigma = Math.sqrt(1 - from);
      Call call = plan.call(t).level(alpha, sigma);
      Linear image = call.limited(prediction.image(call.x(), call.out(), alpha, sigma), limit);
      Linear mean =
          image
              .times(Math.sqrt(to) * stepBeta / (1 - from))
              .plus(call.x().times(Math.sqrt(stepAlpha) * (1 - to) / (1 - from)));
      double small = Math.max((1 - to) / (1 - from) * stepBeta, LEAST_VARIANCE);
      call.next(t > 0 ? mean.plus(noise(call, varianceType, small, stepBeta)) : mean);
    }
    return plan.build();
  }

  private static Linear noise(Call call, String varianceType, double small, double large) {
    return switch (varianceType) {
      case "learned", "learned_range" ->
          call.noise(
              new LearnedVariance(
                  Math.log(small), Math.log(large), varianceType.equals("learned_range")));
      case "fixed_large", "fixed_large_log" -> call.noise().times(Math.sqrt(large));
      default -> call.noise().times(Math.sqrt(small));
    };
  }
}
