/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

/**
 * What the solvers of the DPM family share: n + 1 sigmas, and for each the weights alpha and sigma
 * of image and noise in a sample, which unlike in {@link SigmaSpace} keeps its variance.
 *
 * @param sigmas n sigmas and the last one
 * @param timesteps the n timesteps that the network is told, whole numbers
 * @param flow whether the weights are those of rectified flow, 1 - sigma and sigma
 * @param exploding whether they are 1 and sigma, as in EDM
 */
record SolverSpace(double[] sigmas, double[] timesteps, boolean flow, boolean exploding) {

  SolverSpace(double[] sigmas, double[] timesteps, boolean flow) {
    this(sigmas, timesteps, flow, false);
  }

  /** Weights of image and noise, alpha and sigma, and the logarithm of their ratio. */
  record Level(double alpha, double sigma) {

    double lambda() {
      return Math.log(alpha) - Math.log(sigma);
    }
  }

  Level level(int i) {
    double sigma = sigmas[i];
    if (flow || exploding) {
      return new Level(flow ? 1 - sigma : 1, sigma);
    }
    double alpha = 1 / Math.sqrt(sigma * sigma + 1);
    return new Level(alpha, sigma * alpha);
  }

  /**
   * The clean image that the output implies at sigma i. A flow is measured along the unscaled
   * sigma, whether or not the sigmas themselves are those of rectified flow.
   */
  Linear image(PlanBuilder.Call call, Prediction prediction, int i) {
    Level level = level(i);
    double sigma = prediction == Prediction.FLOW ? sigmas[i] : level.sigma();
    return prediction.image(call.x(), call.out(), level.alpha(), sigma);
  }

  /** Half the log-SNR gained from sigma i to sigma j. */
  double logSnrGain(int i, int j) {
    return level(j).lambda() - level(i).lambda();
  }

  /** Where a solver ends: {@code final_sigmas_type}. */
  static double lastSigma(Fields fields, NoiseSchedule schedule) {
    return fields.choice("final_sigmas_type", "zero", "zero", "sigma_min").equals("zero")
        ? 0
        : schedule.leastSigma();
  }

  /** Sigmas placed between the ends of training, or those that the config has instead. */
  static double[] placed(Fields fields, NoiseSchedule schedule, Sigmas.Placement placement, int n) {
    double greatest = fields.optionalNumber("sigma_max", schedule.greatestSigma());
    double least = fields.optionalNumber("sigma_min", schedule.leastSigma());
    return Sigmas.place(placement, greatest, least, n);
  }

  /**
   * Sigmas of rectified flow, 1 downwards, shifted. The order of operations is the reference's,
   * since the timestep is cut to a whole number.
   */
  static double[] flow(Fields fields, int n, int trainSteps, SamplingOptions options) {
    double shift = flowShift(fields, options);
    double[] alphas = Timesteps.linspace(1, 1.0 / trainSteps, n + 1);
    double[] sigmas = new double[n];
    for (int i = 0; i < n; i++) {
      double even = 1.0 - alphas[n - i];
      sigmas[i] = shift * even / (1 + (shift - 1) * even);
    }
    return sigmas;
  }

  /** The sigmas that a caller lists for a rectified flow, at most 1, before they are shifted. */
  static double[] flowSigmas(Fields fields, SamplingOptions options) {
    if (options.sigmas().get(0) > 1) {
      throw new SchedulerException(
          "%s: %s was given sigmas from %s on; supported: 1 downwards"
              .formatted(fields.source(), fields.className(), options.sigmas().get(0)));
    }
    return options.sigmas().stream().mapToDouble(Double::doubleValue).toArray();
  }

  /** {@code flow_shift}, or e^mu where the config lets the shift depend on the picture's size. */
  static double flowShift(Fields fields, SamplingOptions options) {
    boolean dynamic = fields.flag("use_dynamic_shifting", false);
    return dynamic && options.mu() != null
        ? Math.exp(options.mu())
        : fields.number("flow_shift", 1);
  }

  /** The classes that know one way to shift refuse the other as soon as there is a mu. */
  static void requireExponentialShift(Fields fields, SamplingOptions options) {
    if (options.mu() != null && fields.flag("use_dynamic_shifting", false)) {
      fields.choice("time_shift_type", "exponential", "exponential");
    }
  }

  /** Levels at the timesteps that a caller lists. */
  static SolverSpace listed(
      Fields fields, NoiseSchedule schedule, SamplingOptions options, int n, double last) {
    fields.requireNoPlacement("timesteps", Sigmas.FLAGS);
    fields.requireNoPlacement("timesteps", "use_lu_lambdas", "use_flow_sigmas");
    double[] timesteps = fields.listed(options.timesteps(), n, true, schedule.length() - 1);
    return new SolverSpace(SigmaSpace.append(schedule.sigmasAt(timesteps), last), timesteps, false);
  }

  /** Levels at placed sigmas; {@code use_flow_sigmas} then says what they weigh. */
  static SolverSpace at(
      Fields fields, NoiseSchedule schedule, double[] sigmas, double last, boolean rounded) {
    double[] exact = schedule.timestepsOf(sigmas);
    double[] timesteps = rounded ? rounded(exact) : truncated(exact);
    boolean flow = fields.flag("use_flow_sigmas", false);
    return new SolverSpace(SigmaSpace.append(sigmas, last), timesteps, flow);
  }

  /** Levels of a rectified flow. */
  static SolverSpace flowing(double[] sigmas, double last, int trainSteps) {
    double[] timesteps = new double[sigmas.length];
    for (int i = 0; i < sigmas.length; i++) {
      timesteps[i] = sigmas[i] * trainSteps;
    }
    return new SolverSpace(SigmaSpace.append(sigmas, last), truncated(timesteps), true);
  }

  /** PyTorch stores these timesteps as integers and so cuts a fraction off. */
  static double[] truncated(double[] timesteps) {
    double[] whole = new double[timesteps.length];
    for (int i = 0; i < whole.length; i++) {
      whole[i] = (long) timesteps[i];
    }
    return whole;
  }

  static double[] rounded(double[] timesteps) {
    double[] whole = new double[timesteps.length];
    for (int i = 0; i < whole.length; i++) {
      whole[i] = Math.rint(timesteps[i]);
    }
    return whole;
  }

  /**
   * How many training timesteps are left when those with a log-SNR below {@code lambda_min_clipped}
   * are not used.
   */
  static int unclipped(Fields fields, NoiseSchedule schedule) {
    double least = fields.number("lambda_min_clipped", Double.NEGATIVE_INFINITY);
    int usable = schedule.length();
    while (usable > 0 && schedule.logSnr(usable - 1) < least) {
      usable--;
    }
    if (usable == 0) {
      throw fields.unsupported("lambda_min_clipped", least, "at most " + schedule.logSnr(0));
    }
    return usable;
  }
}
