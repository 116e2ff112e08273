/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;

/**
 * {@code EDMDPMSolverMultistepScheduler}: {@link DpmSolverMultistep}'s steps for networks with
 * EDM's preconditioning, as in {@link EdmEuler}; samples are image + sigma * noise.
 */
final class EdmDpmSolver {

  private EdmDpmSolver() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    fields.trainSteps(n, options);
    double greatest = fields.number("sigma_max", 80);
    double least = fields.number("sigma_min", 0.002);
    double data = fields.number("sigma_data", 0.5);
    boolean karras =
        fields.choice("sigma_schedule", "karras", "karras", "exponential").equals("karras");
    boolean toZero = fields.choice("final_sigmas_type", "zero", "zero", "sigma_min").equals("zero");
    DpmSolver.Algorithm algorithm =
        DpmSolver.algorithm(fields, "dpmsolver++", "sde-dpmsolver++", "deis");
    double[] sigmas =
        SigmaSpace.append(
            karras
                ? Sigmas.karras(greatest, least, n, fields.number("rho", 7))
                : EdmEuler.exponential(greatest, least, n),
            toZero ? 0 : least);
    double[] timesteps = new double[n];
    for (int i = 0; i < n; i++) {
      timesteps[i] = 0.25 * Math.log(sigmas[i]);
    }
    SolverSpace space = new SolverSpace(sigmas, timesteps, false, true);
    DpmSolver solver = DpmSolver.of(fields, algorithm, space);
    double sign = solver.prediction() == Prediction.EPSILON ? 1 : -1;
    PlanBuilder plan = new PlanBuilder(fields, n, Math.sqrt(greatest * greatest + 1));
    return DpmSolverMultistep.sample(
        fields,
        solver,
        plan,
        n,
        options.skippedSteps(),
        toZero,
        i -> {
          double norm = sigmas[i] * sigmas[i] + data * data;
          return plan.call(timesteps[i]).inputScale(1 / Math.sqrt(norm)).level(1, sigmas[i]);
        },
        (call, i) -> image(call, solver.limit(), sign, sigmas[i], data));
  }

  private static Linear image(Call call, Limit limit, double sign, double sigma, double data) {
    double norm = sigma * sigma + data * data;
    Linear image =
        call.x()
            .times(data * data / norm)
            .plus(call.out().times(sign * sigma * data / Math.sqrt(norm)));
    return call.limited(image, limit);
  }
}
