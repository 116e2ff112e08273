package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;

/**
 * {@code EulerDiscreteScheduler}: Euler steps in sigma. (Karras et al., algorithm 2 without churn.)
 */
final class Euler {

  private Euler() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    int trainSteps = fields.trainSteps(n, options);
    NoiseSchedule schedule = NoiseSchedule.withNearlyZeroSnr(fields, NoiseSchedule.Defaults.DDPM);
    Prediction prediction = prediction(fields);
    SigmaSpace space = space(fields, schedule, n, trainSteps);
    boolean continuous =
        fields.choice("timestep_type", "discrete", "discrete", "continuous").equals("continuous")
            && prediction == Prediction.VELOCITY;
    PlanBuilder plan = new PlanBuilder(fields, n, space.initNoiseSigma(fields));
    for (int i = options.skippedSteps(); i < n; i++) {
      double sigma = space.sigmas()[i];
      double timestep = continuous ? 0.25 * Math.log(sigma) : space.timesteps()[i];
      Call call = SigmaSpace.open(plan, timestep, sigma);
      Linear slope = SigmaSpace.slope(call, prediction, sigma);
      call.next(call.x().plus(slope.times(space.sigmas()[i + 1] - sigma)));
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

  private static SigmaSpace space(Fields fields, NoiseSchedule schedule, int n, int trainSteps) {
    double[] timesteps = Timesteps.fractional(fields, n, trainSteps);
    boolean logLinear =
        fields.choice("interpolation_type", "linear", "linear", "log_linear").equals("log_linear");
    // Log-linear has n + 1 sigmas down to the least of training, and its n steps end there.
    double[] sigmas =
        logLinear
            ? Sigmas.exponential(schedule.greatestSigma(), schedule.leastSigma(), n + 1)
            : schedule.sigmasAt(timesteps);
    boolean toZero = fields.choice("final_sigmas_type", "zero", "zero", "sigma_min").equals("zero");
    return SigmaSpace.place(
        fields, schedule, timesteps, sigmas, toZero ? 0 : schedule.leastSigma());
  }
}
