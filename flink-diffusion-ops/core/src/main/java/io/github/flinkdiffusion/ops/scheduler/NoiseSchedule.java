/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import java.util.function.DoubleUnaryOperator;

/**
 * The noise schedule that a model was trained with: for each training timestep the share of the
 * clean image that is left.
 *
 * <p>The table is part of the model, and every trainer keeps it in float32; near t = 0, where 1 -
 * alphaBar cancels, float32 rounding is visible in three digits. So this table alone is rounded
 * where PyTorch rounds it. All that samplers derive from it is double precision.
 */
final class NoiseSchedule {

  /**
   * A stand-in for alphaBar = 0, so that sigma = sqrt((1 - alphaBar) / alphaBar) stays finite;
   * diffusers' choice.
   */
  private static final float LEAST_ALPHA_BAR = 0x1p-24f;

  private final Fields fields;
  private final double[] alphaBar;

  /** sigma(t) = sqrt((1 - alphaBar) / alphaBar), ascending, and its logarithm. */
  private final double[] sigma;

  private final double[] logSigma;

  private NoiseSchedule(Fields fields, float[] alphaBar) {
    this.fields = fields;
    this.alphaBar = new double[alphaBar.length];
    this.sigma = new double[alphaBar.length];
    this.logSigma = new double[alphaBar.length];
    for (int t = 0; t < alphaBar.length; t++) {
      this.alphaBar[t] = alphaBar[t];
      float variance = (1 - alphaBar[t]) / alphaBar[t];
      this.sigma[t] = (float) Math.sqrt(variance);
      this.logSigma[t] = Float32Log.log((float) this.sigma[t]);
    }
  }

  /** The constructor defaults of a scheduler class, which differ. */
  record Defaults(double betaStart, double betaEnd, String betaSchedule) {

    static final Defaults DDPM = new Defaults(0.0001, 0.02, "linear");
    static final Defaults K_DIFFUSION = new Defaults(0.00085, 0.012, "linear");
    static final Defaults STABLE_DIFFUSION = new Defaults(0.00085, 0.012, "scaled_linear");
  }

  /** The schedule of a class that knows the usual three beta schedules. */
  static NoiseSchedule of(Fields fields, Defaults defaults) {
    return of(fields, defaults, "linear", "scaled_linear", "squaredcos_cap_v2");
  }

  static NoiseSchedule of(Fields fields, Defaults defaults, String... supportedSchedules) {
    return new NoiseSchedule(
        fields, cumulativeProduct(betas(fields, defaults, supportedSchedules)));
  }

  /**
   * The schedule of a class that knows {@code rescale_betas_zero_snr} and uses alphaBar as it comes
   * out: 0 at the end.
   */
  static NoiseSchedule withZeroSnr(Fields fields, Defaults defaults, String... supportedSchedules) {
    float[] betas = betas(fields, defaults, supportedSchedules);
    boolean rescale = fields.flag("rescale_betas_zero_snr", false);
    return new NoiseSchedule(fields, cumulativeProduct(rescale ? zeroTerminalSnr(betas) : betas));
  }

  /** As {@link #withZeroSnr}, but never quite 0, for the classes that work with sigma. */
  static NoiseSchedule withNearlyZeroSnr(Fields fields, Defaults defaults) {
    float[] betas = betas(fields, defaults, "linear", "scaled_linear", "squaredcos_cap_v2");
    if (!fields.flag("rescale_betas_zero_snr", false)) {
      return new NoiseSchedule(fields, cumulativeProduct(betas));
    }
    float[] alphaBar = cumulativeProduct(zeroTerminalSnr(betas));
    alphaBar[alphaBar.length - 1] = LEAST_ALPHA_BAR;
    return new NoiseSchedule(fields, alphaBar);
  }

  int length() {
    return alphaBar.length;
  }

  /** alphaBar at a training timestep. */
  double alphaBar(int t) {
    if (t < 0 || t >= alphaBar.length) {
      throw new SchedulerException(
          String.format(
              "%s: %s arrives at timestep %d, the model was trained on 0..%d; a smaller"
                  + " steps_offset or fewer steps help",
              fields.source(), fields.className(), t, alphaBar.length - 1));
    }
    return alphaBar[t];
  }

  double[] sigmas() {
    return sigma.clone();
  }

  double leastSigma() {
    return sigma[0];
  }

  double greatestSigma() {
    return sigma[sigma.length - 1];
  }

  /** log of alpha over sigma, at a training timestep. */
  double logSnr(int t) {
    return -logSigma[t];
  }

  /** sigma between training timesteps, linearly; beyond the ends it stays constant. */
  double sigmaAt(double timestep) {
    if (timestep <= 0) {
      return sigma[0];
    }
    if (timestep >= sigma.length - 1) {
      return greatestSigma();
    }
    int below = (int) timestep;
    return sigma[below] + (timestep - below) * (sigma[below + 1] - sigma[below]);
  }

  /** n sigmas from greatest to least, evenly in log-SNR. */
  double[] evenInLogSnr(int n) {
    return Sigmas.expOfEven(logSigma[logSigma.length - 1], logSigma[0], n);
  }

  double[] sigmasAt(double[] timesteps) {
    double[] sigmas = new double[timesteps.length];
    for (int i = 0; i < sigmas.length; i++) {
      sigmas[i] = sigmaAt(timesteps[i]);
    }
    return sigmas;
  }

  /**
   * The timestep, as a rule between two whole ones, at which training had this sigma; linear in log
   * sigma.
   */
  double timestepOf(double wantedSigma) {
    double wanted = Math.log(Math.max(wantedSigma, 1e-10));
    // The last that is no greater: rescaled to zero SNR, the very last sigma is less than others.
    int low = logSigma.length - 1;
    while (low > 0 && !(logSigma[low] <= wanted)) {
      low--;
    }
    low = Math.min(low, logSigma.length - 2);
    double w = (logSigma[low] - wanted) / (logSigma[low] - logSigma[low + 1]);
    w = Math.max(0, Math.min(1, w));
    return (1 - w) * low + w * (low + 1);
  }

  double[] timestepsOf(double[] wantedSigmas) {
    double[] timesteps = new double[wantedSigmas.length];
    for (int i = 0; i < timesteps.length; i++) {
      timesteps[i] = timestepOf(wantedSigmas[i]);
    }
    return timesteps;
  }

  // ---------------------------------------------------------------- betas

  static float[] betas(Fields fields, Defaults defaults, String... supportedSchedules) {
    if (fields.has("trained_betas")) {
      double[] trained = fields.numbers("trained_betas");
      if (trained.length == 0) {
        throw fields.unsupported("trained_betas", "[]", "at least one beta");
      }
      float[] betas = new float[trained.length];
      for (int i = 0; i < betas.length; i++) {
        betas[i] = (float) trained[i];
      }
      return betas;
    }
    int n = fields.integer("num_train_timesteps", 1000, 1, 1_000_000);
    String schedule = fields.choice("beta_schedule", defaults.betaSchedule(), supportedSchedules);
    return switch (schedule) {
      case "linear" -> linspace(start(fields, defaults), end(fields, defaults), n);
      case "scaled_linear" ->
          squared(
              linspace(Math.sqrt(start(fields, defaults)), Math.sqrt(end(fields, defaults)), n));
      case "squaredcos_cap_v2" ->
          fromAlphaBar(n, t -> square(Math.cos((t + 0.008) / 1.008 * Math.PI / 2)));
      case "exp" -> fromAlphaBar(n, t -> Math.exp(t * -12));
      case "laplace" -> fromAlphaBar(n, NoiseSchedule::laplace);
      case "sigmoid" -> sigmoid(start(fields, defaults), end(fields, defaults), n);
      default ->
          throw fields.unsupported(
              "beta_schedule", schedule, String.join(", ", supportedSchedules));
    };
  }

  private static double start(Fields fields, Defaults defaults) {
    return fields.number("beta_start", defaults.betaStart());
  }

  private static double end(Fields fields, Defaults defaults) {
    return fields.number("beta_end", defaults.betaEnd());
  }

  /**
   * float32 linspace as PyTorch does it, to the bit: from both ends towards the middle, with fused
   * multiply-adds.
   */
  static float[] linspace(double from, double to, int n) {
    float start = (float) from;
    float end = (float) to;
    float step = n == 1 ? 0 : (end - start) / (n - 1);
    float[] values = new float[n];
    for (int i = 0; i < n; i++) {
      values[i] = i < n / 2 ? Math.fma(step, i, start) : Math.fma(-step, n - 1 - i, end);
    }
    if (n == 1) {
      values[0] = start;
    }
    return values;
  }

  private static float[] squared(float[] values) {
    for (int i = 0; i < values.length; i++) {
      values[i] *= values[i];
    }
    return values;
  }

  private static double square(double value) {
    return value * value;
  }

  private static float[] fromAlphaBar(int n, DoubleUnaryOperator alphaBar) {
    float[] betas = new float[n];
    for (int i = 0; i < n; i++) {
      double from = alphaBar.applyAsDouble((double) i / n);
      double to = alphaBar.applyAsDouble((double) (i + 1) / n);
      betas[i] = (float) Math.min(1 - to / from, 0.999);
    }
    return betas;
  }

  private static double laplace(double t) {
    double fromMiddle = 0.5 - t;
    double logSnr =
        -0.5 * Math.copySign(1, fromMiddle) * Math.log(1 - 2 * Math.abs(fromMiddle) + 1e-6);
    double snr = Math.exp(logSnr);
    return Math.sqrt(snr / (1 + snr));
  }

  private static float[] sigmoid(double start, double end, int n) {
    float[] betas = linspace(-6, 6, n);
    for (int i = 0; i < n; i++) {
      float sigmoid = (float) (1 / (1 + Math.exp(-betas[i])));
      betas[i] = sigmoid * (float) (end - start) + (float) start;
    }
    return betas;
  }

  /** PyTorch accumulates in double precision and stores float32. */
  private static float[] cumulativeProduct(float[] betas) {
    float[] alphaBar = new float[betas.length];
    double product = 1;
    for (int t = 0; t < betas.length; t++) {
      product *= 1 - betas[t];
      alphaBar[t] = (float) product;
    }
    return alphaBar;
  }

  /**
   * Algorithm 1 of "Common Diffusion Noise Schedules and Sample Steps are Flawed": the last
   * timestep becomes pure noise.
   */
  private static float[] zeroTerminalSnr(float[] betas) {
    float[] root = cumulativeProduct(betas);
    for (int t = 0; t < root.length; t++) {
      root[t] = (float) Math.sqrt(root[t]);
    }
    float first = root[0];
    float last = root[root.length - 1];
    float stretch = first / (first - last);
    float[] rescaled = new float[betas.length];
    float before = 1;
    for (int t = 0; t < root.length; t++) {
      float shifted = (root[t] - last) * stretch;
      float alphaBar = shifted * shifted;
      rescaled[t] = 1 - (t == 0 ? alphaBar : alphaBar / before);
      before = alphaBar;
    }
    return rescaled;
  }
}
