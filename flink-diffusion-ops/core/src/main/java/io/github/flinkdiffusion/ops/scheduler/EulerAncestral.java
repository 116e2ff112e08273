/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;

/**
 * {@code EulerAncestralDiscreteScheduler}: an Euler step past the next sigma, and fresh noise back
 * up to it. Ignores the placements of sigmas, as the reference does.
 */
final class EulerAncestral {

  private EulerAncestral() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    int trainSteps = fields.trainSteps(n, options);
    NoiseSchedule schedule = NoiseSchedule.withNearlyZeroSnr(fields, NoiseSchedule.Defaults.DDPM);
    Prediction prediction = fields.prediction(Prediction.EPSILON, Prediction.VELOCITY);
    double[] timesteps = Timesteps.fractional(fields, n, trainSteps, options);
    SigmaSpace space =
        new SigmaSpace(SigmaSpace.append(schedule.sigmasAt(timesteps), 0), timesteps);
    PlanBuilder plan = new PlanBuilder(fields, n, space.initNoiseSigma(fields));
    for (int i = options.skippedSteps(); i < n; i++) {
      double sigma = space.sigmas()[i];
      double to = space.sigmas()[i + 1];
      double up = SigmaSpace.ancestralUp(sigma, to);
      double down = SigmaSpace.ancestralDown(sigma, to);
      Call call = SigmaSpace.open(plan, timesteps[i], sigma);
      Linear slope = SigmaSpace.slope(call, prediction, sigma);
      call.next(call.x().plus(slope.times(down - sigma)).plus(call.noise().times(up)));
    }
    return plan.build();
  }
}
