/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;
import java.util.List;
import java.util.function.IntFunction;

/**
 * {@code DPMSolverMultistepScheduler}: {@link DpmSolver} with differences taken from the outputs of
 * earlier steps. "DPM++ 2M" is its default; "2M Karras" sets {@code use_karras_sigmas}, "2M SDE"
 * {@code algorithm_type = sde-dpmsolver++}.
 */
final class DpmSolverMultistep {

  /** Below this many steps the config's {@code lower_order_final} applies. */
  private static final int FEW_STEPS = 15;

  private DpmSolverMultistep() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    int trainSteps = fields.trainSteps(n, options);
    DpmSolver.Algorithm algorithm =
        DpmSolver.algorithm(
            fields, "dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++", "deis");
    boolean toZero = fields.choice("final_sigmas_type", "zero", "zero", "sigma_min").equals("zero");
    DpmSolver solver = DpmSolver.of(fields, algorithm, space(fields, n, trainSteps, options));
    PlanBuilder plan = solver.plan(fields, n);
    return sample(
        fields,
        solver,
        plan,
        solver.space().timesteps().length,
        options.skippedSteps(),
        toZero,
        i -> solver.open(plan, i),
        solver::output);
  }

  /** Opens the call of a step. */
  interface Opened extends IntFunction<Call> {}

  /** What the solver integrates, of a call and its step. */
  interface Output {
    Linear of(Call call, int step);
  }

  /**
   * All steps.
   *
   * @param n steps, the skipped ones among them
   * @param toZero whether the last sigma is 0, where only the first order is defined
   */
  static SamplingPlan sample(
      Fields fields,
      DpmSolver solver,
      PlanBuilder plan,
      int n,
      int skipped,
      boolean toZero,
      Opened opened,
      Output output) {
    int order = DpmSolver.order(fields);
    boolean fewSteps = fields.flag("lower_order_final", true) && n < FEW_STEPS;
    boolean eulerAtFinal = fields.flag("euler_at_final", false) || fewSteps || toZero;
    for (int i = skipped; i < n; i++) {
      Call call = opened.apply(i);
      Linear m0 = output.of(call, i);
      List<Linear> h = call.history();
      int usable = Math.min(order, h.size() + 1);
      if (i == n - 1 && eulerAtFinal) {
        usable = 1;
      } else if (i == n - 2 && fewSteps) {
        usable = Math.min(usable, 2);
      }
      if (solver.standsStill(i)) {
        usable = 1;
      }
      if (usable > 2 && !solver.hasThirdOrder()) {
        throw fields.unsupported(
            "solver_order",
            order,
            "1, 2, with the algorithm_type " + fields.word("algorithm_type"));
      }
      Linear next =
          switch (usable) {
            case 1 -> solver.first(call, call.x(), m0, i, i + 1);
            case 2 -> second(solver, call, m0, h.get(0), i);
            default -> third(solver, call, m0, h.get(0), h.get(1), i);
          };
      if (order == 1) {
        call.next(next);
      } else if (order == 2 || h.isEmpty()) {
        call.next(next, m0);
      } else {
        call.next(next, m0, h.get(0));
      }
    }
    return plan.build();
  }

  private static Linear second(DpmSolver solver, Call call, Linear m0, Linear m1, int i) {
    SolverSpace space = solver.space();
    double r0 = space.logSnrGain(i - 1, i) / space.logSnrGain(i, i + 1);
    Linear d1 = m0.minus(m1).dividedBy(r0);
    return solver.second(call, call.x(), m0, d1, i, i + 1);
  }

  private static Linear third(DpmSolver solver, Call call, Linear m0, Linear m1, Linear m2, int i) {
    SolverSpace space = solver.space();
    double h = space.logSnrGain(i, i + 1);
    double r0 = space.logSnrGain(i - 1, i) / h;
    double r1 = space.logSnrGain(i - 2, i - 1) / h;
    Linear newer = m0.minus(m1).dividedBy(r0);
    Linear older = m1.minus(m2).dividedBy(r1);
    Linear change = newer.minus(older);
    Linear d1 = newer.plus(change.times(r0 / (r0 + r1)));
    Linear d2 = change.dividedBy(r0 + r1);
    return solver.third(call, call.x(), m0, d1, d2, i, i + 1);
  }

  private static SolverSpace space(Fields fields, int n, int trainSteps, SamplingOptions options) {
    SolverSpace.requireExponentialShift(fields, options);
    NoiseSchedule schedule = NoiseSchedule.withNearlyZeroSnr(fields, NoiseSchedule.Defaults.DDPM);
    double last = SolverSpace.lastSigma(fields, schedule);
    if (!options.timesteps().isEmpty()) {
      return SolverSpace.listed(fields, schedule, options, n, last);
    }
    Timesteps.check(fields);
    Sigmas.Placement placement = Sigmas.placement(fields);
    boolean lu = fields.flag("use_lu_lambdas", false);
    // The reference rounds these timesteps for every schedule but the cosine one, and truncates the
    // others.
    boolean cosine =
        "squaredcos_cap_v2"
            .equals(
                fields.choice(
                    "beta_schedule", "linear", "linear", "scaled_linear", "squaredcos_cap_v2"));
    if (placement == Sigmas.Placement.KARRAS) {
      double[] sigmas = SolverSpace.placed(fields, schedule, placement, n);
      return SolverSpace.at(fields, schedule, sigmas, last, !cosine);
    }
    if (lu) {
      double[] sigmas = schedule.evenInLogSnr(n);
      return SolverSpace.at(fields, schedule, sigmas, last, !cosine);
    }
    if (placement != Sigmas.Placement.BY_TIMESTEP) {
      return SolverSpace.at(
          fields, schedule, SolverSpace.placed(fields, schedule, placement, n), last, false);
    }
    if (fields.flag("use_flow_sigmas", false)) {
      double[] sigmas = SolverSpace.flow(fields, n, trainSteps, options);
      return SolverSpace.flowing(sigmas, last, trainSteps);
    }
    double[] timesteps =
        Timesteps.solver(fields, n, trainSteps, SolverSpace.unclipped(fields, schedule));
    return new SolverSpace(SigmaSpace.append(schedule.sigmasAt(timesteps), last), timesteps, false);
  }
}
