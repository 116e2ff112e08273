/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;
import java.util.ArrayList;
import java.util.List;

/**
 * {@code LMSDiscreteScheduler}: a linear multistep method of order 4 in sigma. Each step integrates
 * the polynomial through the slopes at this and up to three earlier sigmas.
 */
final class Lms {

  private static final int ORDER = 4;

  private Lms() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    int trainSteps = fields.trainSteps(n, options);
    NoiseSchedule schedule = NoiseSchedule.of(fields, NoiseSchedule.Defaults.DDPM);
    Prediction prediction =
        fields.prediction(Prediction.EPSILON, Prediction.SAMPLE, Prediction.VELOCITY);
    // This class alone places Karras' sigmas without regard to the config's sigma_min and
    // sigma_max.
    boolean endsInConfig = Sigmas.placement(fields) != Sigmas.Placement.KARRAS;
    SigmaSpace space = SigmaSpace.of(fields, schedule, n, trainSteps, options, endsInConfig);
    double[] sigmas = space.sigmas();
    PlanBuilder plan = new PlanBuilder(fields, n, space.initNoiseSigma(fields));
    for (int i = options.skippedSteps(); i < n; i++) {
      Call call = SigmaSpace.open(plan, space.timesteps()[i], sigmas[i]);
      List<Linear> slopes = new ArrayList<>();
      slopes.add(SigmaSpace.slope(call, prediction, sigmas[i]));
      slopes.addAll(call.history());
      // When steps were skipped, the polynomial has the order of the position and lacks the slopes
      // before the start.
      int order = Math.min(i + 1, ORDER);
      Linear next = call.x();
      for (int j = 0; j < Math.min(order, slopes.size()); j++) {
        next = next.plus(slopes.get(j).times(weight(sigmas, i, j, order)));
      }
      call.next(next, slopes.subList(0, Math.min(slopes.size(), ORDER - 1)));
    }
    return plan.build();
  }

  /**
   * The integral, from sigma i to sigma i + 1, of the polynomial that is 1 at sigma i - j and 0 at
   * the other nodes.
   */
  private static double weight(double[] sigmas, int i, int j, int order) {
    double from = sigmas[i];
    double to = sigmas[i + 1];
    // Simpson's rule is exact up to the third degree.
    return (to - from)
        / 6
        * (lagrange(sigmas, i, j, order, from)
            + 4 * lagrange(sigmas, i, j, order, (from + to) / 2)
            + lagrange(sigmas, i, j, order, to));
  }

  private static double lagrange(double[] sigmas, int i, int j, int order, double sigma) {
    double product = 1;
    for (int k = 0; k < order; k++) {
      if (k != j) {
        product *= (sigma - sigmas[i - k]) / (sigmas[i - j] - sigmas[i - k]);
      }
    }
    return product;
  }
}
