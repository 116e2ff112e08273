package io.github.flinkdiffusion.ops.training;

/**
 * The forward process of DDPM (Ho et al. 2020) with linearly rising betas: x_t = alpha(t) x_0 +
 * sigma(t) noise.
 *
 * @param steps {@code num_train_timesteps}
 * @param betaStart {@code beta_start}
 * @param betaEnd {@code beta_end}
 * @param cumulative product of (1 - beta) up to each step
 */
public record LinearNoiseSchedule(
    int steps, double betaStart, double betaEnd, double[] cumulative) {

  public LinearNoiseSchedule(int steps, double betaStart, double betaEnd) {
    this(steps, betaStart, betaEnd, cumulative(steps, betaStart, betaEnd));
  }

  private static double[] cumulative(int steps, double betaStart, double betaEnd) {
    double[] products = new double[steps];
    double product = 1;
    for (int t = 0; t < steps; t++) {
      product *= 1 - (betaStart + (betaEnd - betaStart) * t / (steps - 1));
      products[t] = product;
    }
    return products;
  }

  /** Weight of the clean sample at step t, 0 .. steps - 1. */
  public double alpha(int t) {
    return Math.sqrt(cumulative[t]);
  }

  /** Weight of the noise at step t. */
  public double sigma(int t) {
    return Math.sqrt(1 - cumulative[t]);
  }
}
