/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;
import io.github.flinkdiffusion.ops.scheduler.SolverSpace.Level;
import java.util.ArrayList;
import java.util.List;

/**
 * {@code DEISMultistepScheduler}: integrates exactly, over rho = sigma / alpha, the polynomial in
 * log rho through the predicted noises of this and earlier steps. (Zhang and Chen, Fast Sampling of
 * Diffusion Models with Exponential Integrator, log-rho variant.)
 */
final class Deis {

  private static final int FEW_STEPS = 15;

  private Deis() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    int trainSteps = fields.trainSteps(n, options);
    int order = DpmSolver.order(fields);
    // Names of the other families occur in configs that were written for those; the reference maps
    // them, and so do we.
    fields.choice("algorithm_type", "deis", "deis", "dpmsolver", "dpmsolver++");
    fields.choice("solver_type", "logrho", "logrho", "midpoint", "heun", "bh1", "bh2");
    boolean fewSteps = fields.flag("lower_order_final", true) && n < FEW_STEPS;
    Prediction prediction =
        fields.prediction(
            Prediction.EPSILON, Prediction.SAMPLE, Prediction.VELOCITY, Prediction.FLOW);
    Limit limit = Limit.thresholdingOf(fields);
    SolverSpace space = space(fields, n, trainSteps, options);
    PlanBuilder plan = new PlanBuilder(fields, n, 1);
    for (int i = options.skippedSteps(); i < n; i++) {
      Level level = space.level(i);
      Call call = plan.call(space.timesteps()[i]).level(level.alpha(), level.sigma());
      Linear image = call.limited(space.image(call, prediction, i), limit);
      List<Linear> noises = new ArrayList<>();
      // For a flow the reference divides by the unscaled sigma, which differs when the sigmas are
      // not those of a flow.
      double divisor = prediction == Prediction.FLOW ? space.sigmas()[i] : level.sigma();
      noises.add(call.x().minus(image.times(level.alpha())).dividedBy(divisor));
      noises.addAll(call.history());
      int usable = Math.min(order, noises.size());
      if (fewSteps) {
        usable = Math.min(usable, n - i);
      }
      Linear scaled = call.x().dividedBy(level.alpha());
      for (int j = 0; j < usable; j++) {
        scaled = scaled.plus(noises.get(j).times(weight(space, i, j, usable)));
      }
      call.next(
          scaled.times(space.level(i + 1).alpha()),
          noises.subList(0, Math.min(noises.size(), order - 1)));
    }
    return plan.build();
  }

  /**
   * The integral, from rho i to rho i + 1, of the polynomial in log rho that is 1 at node i - j and
   * 0 at the others.
   */
  private static double weight(SolverSpace space, int i, int j, int order) {
    double constant = 1;
    double linear = 0;
    double quadratic = 0;
    double scale = 1;
    double node = logRho(space, i - j);
    for (int k = 0; k < order; k++) {
      if (k != j) {
        double other = logRho(space, i - k);
        quadratic = linear - other * quadratic;
        linear = constant - other * linear;
        constant = -other * constant;
        scale *= node - other;
      }
    }
    return (antiderivative(space, i + 1, constant, linear, quadratic)
            - antiderivative(space, i, constant, linear, quadratic))
        / scale;
  }

  /** Of constant + linear u + quadratic u² over rho, where u = log rho. */
  private static double antiderivative(
      SolverSpace space, int i, double constant, double linear, double quadratic) {
    double u = logRho(space, i);
    return Math.exp(u) * (constant + linear * (u - 1) + quadratic * (u * u - 2 * u + 2));
  }

  private static double logRho(SolverSpace space, int i) {
    return -space.level(i).lambda();
  }

  private static SolverSpace space(Fields fields, int n, int trainSteps, SamplingOptions options) {
    Timesteps.check(fields);
    SolverSpace.requireExponentialShift(fields, options);
    NoiseSchedule schedule = NoiseSchedule.of(fields, NoiseSchedule.Defaults.DDPM);
    Sigmas.Placement placement = Sigmas.placement(fields);
    if (placement != Sigmas.Placement.BY_TIMESTEP) {
      double[] sigmas = SolverSpace.placed(fields, schedule, placement, n);
      return SolverSpace.at(
          fields, schedule, sigmas, sigmas[n - 1], placement == Sigmas.Placement.KARRAS);
    }
    if (fields.flag("use_flow_sigmas", false)) {
      double[] sigmas = SolverSpace.flow(fields, n, trainSteps, options);
      return SolverSpace.flowing(sigmas, sigmas[n - 1], trainSteps);
    }
    double[] timesteps = Timesteps.solver(fields, n, trainSteps, trainSteps);
    double[] sigmas = SigmaSpace.append(schedule.sigmasAt(timesteps), schedule.leastSigma());
    return new SolverSpace(sigmas, timesteps, false);
  }
}
