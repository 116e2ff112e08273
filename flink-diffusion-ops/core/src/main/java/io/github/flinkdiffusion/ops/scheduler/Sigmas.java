/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import org.apache.commons.math3.distribution.BetaDistribution;

/**
 * The ways to place n noise levels between the greatest and the least ({@code use_karras_sigmas}
 * and its kin).
 */
final class Sigmas {

  private static final double KARRAS_RHO = 7;

  /** "Beta Sampling is All You Need": both shape parameters. */
  private static final double BETA_SHAPE = 0.6;

  /** The keys that ask for a placement. */
  static final String[] FLAGS = {"use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"};

  private Sigmas() {}

  /** Which placement a config asks for. */
  enum Placement {
    /** Where the timesteps fall. */
    BY_TIMESTEP,
    KARRAS,
    EXPONENTIAL,
    BETA
  }

  static Placement placement(Fields fields) {
    boolean karras = fields.countedFlag("use_karras_sigmas");
    boolean exponential = fields.countedFlag("use_exponential_sigmas");
    boolean beta = fields.countedFlag("use_beta_sigmas");
    if ((karras ? 1 : 0) + (exponential ? 1 : 0) + (beta ? 1 : 0) > 1) {
      throw fields.unsupported(
          "use_karras_sigmas, use_exponential_sigmas, use_beta_sigmas",
          karras + ", " + exponential + ", " + beta,
          "at most one of them true");
    }
    if (karras) {
      return Placement.KARRAS;
    }
    if (exponential) {
      return Placement.EXPONENTIAL;
    }
    return beta ? Placement.BETA : Placement.BY_TIMESTEP;
  }

  /**
   * n sigmas from greatest to least, as the config's placement has it; {@link
   * Placement#BY_TIMESTEP} has no answer here.
   */
  static double[] place(Placement placement, double greatest, double least, int n) {
    return switch (placement) {
      case KARRAS -> karras(greatest, least, n, KARRAS_RHO);
      case EXPONENTIAL -> exponential(greatest, least, n);
      case BETA -> beta(greatest, least, n);
      case BY_TIMESTEP ->
          throw new IllegalArgumentException("Sigmas that follow timesteps are not placed");
    };
  }

  /** Evenly spaced in sigma^(1/rho). With rho = 1, evenly spaced. */
  static double[] karras(double greatest, double least, int n, double rho) {
    double from = Math.pow(greatest, 1 / rho);
    double to = Math.pow(least, 1 / rho);
    double[] sigmas = ramp(n);
    for (int i = 0; i < n; i++) {
      sigmas[i] = Math.pow(from + sigmas[i] * (to - from), rho);
    }
    return sigmas;
  }

  /** Evenly spaced in log sigma. */
  static double[] exponential(double greatest, double least, int n) {
    return expOfEven(Math.log(greatest), Math.log(least), n);
  }

  /** e to n even steps. */
  static double[] expOfEven(double from, double to, int n) {
    double[] sigmas = ramp(n);
    for (int i = 0; i < n; i++) {
      sigmas[i] = Math.exp(from + sigmas[i] * (to - from));
    }
    return sigmas;
  }

  private static double[] beta(double greatest, double least, int n) {
    BetaDistribution distribution = new BetaDistribution(null, BETA_SHAPE, BETA_SHAPE, 1e-14);
    double[] sigmas = ramp(n);
    for (int i = 0; i < n; i++) {
      sigmas[i] =
          least + distribution.inverseCumulativeProbability(1 - sigmas[i]) * (greatest - least);
    }
    return sigmas;
  }

  /** 0 to 1 in n even steps. */
  private static double[] ramp(int n) {
    double[] ramp = new double[n];
    for (int i = 1; i < n; i++) {
      ramp[i] = (double) i / (n - 1);
    }
    return ramp;
  }
}
