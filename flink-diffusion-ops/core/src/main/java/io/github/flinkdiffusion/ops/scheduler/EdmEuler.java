/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;

/**
 * {@code EDMEulerScheduler}: Euler steps in sigma for networks with EDM's preconditioning, which
 * sees the sample scaled by c_in and predicts a mixture of image and noise that c_skip and c_out
 * undo. (Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, table
 * 1.)
 */
final class EdmEuler {

  private EdmEuler() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    fields.trainSteps(n, options);
    double greatest = fields.number("sigma_max", 80);
    double least = fields.number("sigma_min", 0.002);
    double data = fields.number("sigma_data", 0.5);
    boolean karras =
        fields.choice("sigma_schedule", "karras", "karras", "exponential").equals("karras");
    double sign =
        fields.prediction(Prediction.EPSILON, Prediction.VELOCITY) == Prediction.EPSILON ? 1 : -1;
    double[] sigmas =
        karras
            ? Sigmas.karras(greatest, least, n, fields.number("rho", 7))
            : exponential(greatest, least, n);
    boolean toZero = fields.choice("final_sigmas_type", "zero", "zero", "sigma_min").equals("zero");
    double[] all = SigmaSpace.append(sigmas, toZero ? 0 : sigmas[n - 1]);
    Churn churn = options.churn();
    PlanBuilder plan = new PlanBuilder(fields, n, Math.sqrt(greatest * greatest + 1));
    for (int i = options.skippedSteps(); i < n; i++) {
      double sigma = all[i];
      double norm = sigma * sigma + data * data;
      Call call = plan.call(0.25 * Math.log(sigma)).inputScale(1 / Math.sqrt(norm)).level(1, sigma);
      double raised = churn.raised(sigma, n);
      double normRaised = raised * raised + data * data;
      Linear sample = churn.add(call, sigma, raised);
      Linear image =
          sample
              .times(data * data / normRaised)
              .plus(call.out().times(sign * raised * data / Math.sqrt(normRaised)));
      Linear slope = sample.minus(image).dividedBy(raised);
      call.next(sample.plus(slope.times(all[i + 1] - raised)));
    }
    return plan.build();
  }

  /** Counted from the least, which therefore is what a single step has. */
  static double[] exponential(double greatest, double least, int n) {
    return n == 1 ? new double[] {least} : Sigmas.exponential(greatest, least, n);
  }
}
