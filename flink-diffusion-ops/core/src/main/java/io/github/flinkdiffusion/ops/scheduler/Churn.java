/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import org.apache.flink.annotation.Internal;

/**
 * Noise that an Euler sampler adds before every step, which it then removes with the step: Karras
 * et al., algorithm 2. As in diffusers, the network sees the sample from before.
 *
 * @param amount {@code s_churn}: divided by the number of steps, by how much of itself sigma is
 *     raised, at most 0.41; 0 is none
 * @param leastSigma {@code s_tmin}: no churn below
 * @param mostSigma {@code s_tmax}: no churn above
 * @param noise {@code s_noise}: the standard deviation of what is added, 1 unless one wants to make
 *     up for detail that the network loses
 */
@Internal
public record Churn(double amount, double leastSigma, double mostSigma, double noise) {

  /** No noise. */
  public static final Churn NONE = new Churn(0, 0, Double.POSITIVE_INFINITY, 1);

  /** Beyond this the paper found no use, and the reference cuts. */
  private static final double MOST_GAIN = Math.sqrt(2) - 1;

  public Churn {
    boolean valid =
        amount >= 0
            && Double.isFinite(amount)
            && leastSigma >= 0
            && mostSigma >= leastSigma
            && noise >= 0
            && Double.isFinite(noise);
    if (!valid) {
      throw new SchedulerException(
          ("Sampling options: churn is s_churn = %s, s_tmin = %s, s_tmax = %s, s_noise = %s; supported: s_churn and"
                  + " s_noise of 0 or more, 0 <= s_tmin <= s_tmax")
              .formatted(amount, leastSigma, mostSigma, noise));
    }
  }

  /** Churn at all noise levels. */
  public static Churn of(double amount) {
    return new Churn(amount, 0, Double.POSITIVE_INFINITY, 1);
  }

  /** The sigma that a step begins with, at least the plan's. */
  double raised(double sigma, int steps) {
    boolean within = leastSigma <= sigma && sigma <= mostSigma;
    return within ? sigma * (1 + Math.min(amount / steps, MOST_GAIN)) : sigma;
  }

  /** A sample after the noise from one sigma up to another was added. */
  Linear add(PlanBuilder.Call call, double sigma, double raised) {
    return raised > sigma
        ? call.x().plus(call.noise().times(noise * Math.sqrt(raised * raised - sigma * sigma)))
        : call.x();
  }
}
