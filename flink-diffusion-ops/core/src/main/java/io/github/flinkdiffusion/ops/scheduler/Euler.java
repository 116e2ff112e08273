/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;
import java.util.Arrays;

/**
 * {@code EulerDiscreteScheduler}: Euler steps in sigma. (Karras et al., algorithm 2 without its
 * correction.)
 */
final class Euler {

  private Euler() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    int trainSteps = fields.trainSteps(n, options);
    NoiseSchedule schedule = NoiseSchedule.withNearlyZeroSnr(fields, NoiseSchedule.Defaults.DDPM);
    Prediction prediction = prediction(fields);
    Sigmas.placement(fields);
    boolean continuous =
        fields
                .optionalChoice("timestep_type", "discrete", "discrete", "continuous")
                .equals("continuous")
            && prediction == Prediction.VELOCITY;
    if (continuous && !options.timesteps().isEmpty()) {
      throw fields.unsupported(
          "timestep_type", "continuous", "discrete, when timesteps are listed");
    }
    SigmaSpace space =
        options.sigmas().isEmpty()
            ? space(fields, schedule, n, trainSteps, options)
            : listed(fields, schedule, n, options);
    Churn churn = options.churn();
    PlanBuilder plan = new PlanBuilder(fields, n, space.initNoiseSigma(fields));
    // The reference takes a continuous timestep for each sigma but the last, and log-linear ones
    // are
    // one more than the steps.
    int calls = continuous ? space.sigmas().length - 1 : n;
    for (int i = options.skippedSteps(); i < calls; i++) {
      double sigma = space.sigmas()[i];
      double timestep = continuous ? 0.25 * Math.log(sigma) : space.timesteps()[i];
      Call call = SigmaSpace.open(plan, timestep, sigma);
      double raised = churn.raised(sigma, space.sigmas().length - 1);
      Linear sample = churn.add(call, sigma, raised);
      // The reference takes a velocity at the plan's sigma, and noise at the raised one.
      double seen = prediction == Prediction.VELOCITY ? sigma : raised;
      Linear slope =
          sample.minus(prediction.imageAtSigma(sample, call.out(), seen)).dividedBy(raised);
      call.next(sample.plus(slope.times(space.sigmas()[i + 1] - raised)));
    }
    return plan.build();
  }

  /** This class alone also calls it {@code original_sample}. */
  private static Prediction prediction(Fields fields) {
    String name =
        fields.choice(
            "prediction_type", "epsilon", "epsilon", "sample", "original_sample", "v_prediction");
    return Prediction.named(name.equals("original_sample") ? "sample" : name);
  }

  /** A caller's sigmas, the last one included, at the timesteps where training had them. */
  private static SigmaSpace listed(
      Fields fields, NoiseSchedule schedule, int n, SamplingOptions options) {
    fields.requireCount("sigmas", options.sigmas().size(), n, n + 1);
    if (!options.timesteps().isEmpty()) {
      fields.requireCount("timesteps beside sigmas", options.timesteps().size(), n, 0);
    }
    double[] sigmas = options.sigmas().stream().mapToDouble(Double::floatValue).toArray();
    return new SigmaSpace(sigmas, schedule.timestepsOf(Arrays.copyOf(sigmas, n)));
  }

  private static SigmaSpace space(
      Fields fields, NoiseSchedule schedule, int n, int trainSteps, SamplingOptions options) {
    double[] timesteps = Timesteps.fractional(fields, n, trainSteps, options);
    boolean logLinear =
        fields.choice("interpolation_type", "linear", "linear", "log_linear").equals("log_linear");
    // Log-linear has n + 1 sigmas down to the least of training, and its n steps end there.
    double[] sigmas =
        logLinear
            ? Sigmas.exponential(schedule.greatestSigma(), schedule.leastSigma(), n + 1)
            : schedule.sigmasAt(timesteps);
    boolean toZero = fields.choice("final_sigmas_type", "zero", "zero", "sigma_min").equals("zero");
    double end = SigmaSpace.leastSigma(fields, schedule, n, trainSteps, sigmas);
    return SigmaSpace.place(
        fields, schedule, timesteps, sigmas, end, toZero ? 0 : schedule.leastSigma(), true);
  }
}
