/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;

/**
 * {@code KDPM2DiscreteScheduler} and {@code KDPM2AncestralDiscreteScheduler}: a midpoint method in
 * log sigma, which steps to the geometric mean of two sigmas and takes the whole step along the
 * slope there. The ancestral one aims below the next sigma and adds noise back up to it. Two calls
 * a step, but one for the last, which ends at sigma 0.
 */
final class Kdpm2 {

  private Kdpm2() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    return plan(fields, n, options, false);
  }

  static SamplingPlan ancestral(Fields fields, int n, SamplingOptions options) {
    return plan(fields, n, options, true);
  }

  private static SamplingPlan plan(
      Fields fields, int n, SamplingOptions options, boolean ancestral) {
    int trainSteps = fields.trainSteps(n, options);
    NoiseSchedule schedule = NoiseSchedule.of(fields, NoiseSchedule.Defaults.K_DIFFUSION);
    Prediction prediction = fields.prediction(Prediction.EPSILON, Prediction.VELOCITY);
    SigmaSpace space = SigmaSpace.of(fields, schedule, n, trainSteps, options);
    double[] timesteps = space.timesteps();
    if (Sigmas.placement(fields) == Sigmas.Placement.KARRAS) {
      timesteps = SolverSpace.rounded(timesteps);
    }
    PlanBuilder plan = new PlanBuilder(fields, n, space.initNoiseSigma(fields));
    for (int i = options.skippedSteps(); i < n; i++) {
      double sigma = space.sigmas()[i];
      double to = space.sigmas()[i + 1];
      double down = ancestral ? down(sigma, to) : to;
      double middle = Math.sqrt(sigma * down);
      Call half = SigmaSpace.open(plan, timesteps[i], sigma);
      Linear slope = SigmaSpace.slope(half, prediction, sigma);
      Linear atMiddle = half.x().plus(slope.times(middle - sigma));
      if (i == n - 1) {
        half.next(atMiddle);
        break;
      }
      half.next(atMiddle, half.x());
      // A known part that inpainting puts back half way lies at the next sigma, as in the
      // reference.
      Call whole = SigmaSpace.open(plan, schedule.timestepOf(middle), middle).level(1, to);
      Linear slopeAtMiddle = SigmaSpace.slope(whole, prediction, middle);
      Linear next = whole.h(0).plus(slopeAtMiddle.times(down - sigma));
      whole.next(
          ancestral ? next.plus(whole.noise().times(SigmaSpace.ancestralUp(sigma, to))) : next);
    }
    return plan.build();
  }

  /**
   * In float32, as the reference, while that leaves anything of it. Where it does not, the
   * reference is NaN, and this is the exact value.
   */
  private static double down(double sigma, double to) {
    double down = SigmaSpace.ancestralDown(sigma, to);
    return down > 0 ? down : to * to / sigma;
  }
}
