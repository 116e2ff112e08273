/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;
import java.util.ArrayList;
import java.util.List;

/**
 * {@code DPMSolverSinglestepScheduler}: {@link DpmSolver} in groups of one to three calls. Each
 * call of a group starts anew from the sample at the group's beginning and uses the outputs since,
 * so a step of order k costs k calls.
 *
 * <p>What is remembered inside a group: its outputs, newest first, and then the sample at its
 * beginning.
 */
final class DpmSolverSinglestep {

  private DpmSolverSinglestep() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    int trainSteps = fields.trainSteps(n, options);
    int order = fields.integer("solver_order", 2, 1, 3);
    DpmSolver.Algorithm algorithm =
        DpmSolver.algorithm(fields, "dpmsolver", "dpmsolver++", "sde-dpmsolver++", "deis");
    DpmSolver solver = DpmSolver.of(fields, algorithm, space(fields, n, trainSteps, options));
    if (!algorithm.onImage() && solver.limit() != Limit.NONE) {
      // The reference looks the timestep up that it no longer gets, and fails.
      throw fields.unsupported(
          "thresholding", true, "false, with algorithm_type = " + fields.word("algorithm_type"));
    }
    List<Integer> orders = orders(fields, n, order);
    PlanBuilder plan = solver.plan(fields, n);
    for (int i = options.skippedSteps(); i < n; i++) {
      Call call = solver.open(plan, i);
      Linear m0 = solver.output(call, i);
      List<Linear> h = call.history();
      int outputsInGroup = Math.max(0, h.size() - 1);
      int usable = Math.min(orders.get(i), outputsInGroup + 1);
      Linear begin = usable == 1 ? call.x() : h.get(outputsInGroup);
      Linear next =
          switch (usable) {
            case 1 -> solver.first(call, begin, m0, i, i + 1);
            case 2 -> second(solver, call, begin, m0, h.get(0), i);
            default -> third(solver, call, begin, m0, h.get(0), h.get(1), i);
          };
      List<Linear> memory = new ArrayList<>();
      if (i + 1 < n && orders.get(i + 1) > 1) {
        memory.add(m0);
        memory.addAll(h.subList(0, usable - 1));
        memory.add(begin);
      }
      call.next(next, memory);
    }
    return plan.build();
  }

  /**
   * The order of every call: rising within each group, lower where the steps do not divide or the
   * config ends so.
   */
  private static List<Integer> orders(Fields fields, int n, int order) {
    boolean toZero = fields.choice("final_sigmas_type", "zero", "zero", "sigma_min").equals("zero");
    boolean lowerAtEnd = fields.flag("lower_order_final", false) || toZero || n % order != 0;
    List<Integer> orders = new ArrayList<>();
    for (int i = 0; i < n; i++) {
      orders.add(i % order + 1);
    }
    if (lowerAtEnd && n % order == 0) {
      orders.set(n - 1, 1);
    }
    if (toZero) {
      orders.set(n - 1, 1);
    }
    return orders;
  }

  private static Linear second(
      DpmSolver solver, Call call, Linear begin, Linear m0, Linear m1, int i) {
    SolverSpace space = solver.space();
    double r0 = space.logSnrGain(i - 1, i) / space.logSnrGain(i - 1, i + 1);
    return solver.second(call, begin, m1, m0.minus(m1).dividedBy(r0), i - 1, i + 1);
  }

  private static Linear third(
      DpmSolver solver, Call call, Linear begin, Linear m0, Linear m1, Linear m2, int i) {
    SolverSpace space = solver.space();
    double h = space.logSnrGain(i - 2, i + 1);
    double r0 = space.logSnrGain(i - 2, i) / h;
    double r1 = space.logSnrGain(i - 2, i - 1) / h;
    Linear nearer = m1.minus(m2).dividedBy(r1);
    Linear farther = m0.minus(m2).dividedBy(r0);
    if (!solver.heun()) {
      return solver.third(call, begin, m2, farther, null, i - 2, i + 1);
    }
    Linear d1 = nearer.times(r0).minus(farther.times(r1)).dividedBy(r0 - r1);
    Linear d2 = farther.minus(nearer).times(2 / (r0 - r1));
    return solver.third(call, begin, m2, d1, d2, i - 2, i + 1);
  }

  private static SolverSpace space(Fields fields, int n, int trainSteps, SamplingOptions options) {
    SolverSpace.requireExponentialShift(fields, options);
    NoiseSchedule schedule = NoiseSchedule.of(fields, NoiseSchedule.Defaults.DDPM);
    double last = SolverSpace.lastSigma(fields, schedule);
    if (!options.timesteps().isEmpty()) {
      return SolverSpace.listed(fields, schedule, options, n, last);
    }
    Sigmas.Placement placement = Sigmas.placement(fields);
    if (placement != Sigmas.Placement.BY_TIMESTEP) {
      double[] sigmas = SolverSpace.placed(fields, schedule, placement, n);
      return SolverSpace.at(fields, schedule, sigmas, last, placement == Sigmas.Placement.KARRAS);
    }
    if (fields.flag("use_flow_sigmas", false)) {
      return SolverSpace.flowing(
          SolverSpace.flow(fields, n, trainSteps, options), last, trainSteps);
    }
    double[] timesteps = Timesteps.solverLinspace(n, SolverSpace.unclipped(fields, schedule) - 1);
    return new SolverSpace(SigmaSpace.append(schedule.sigmasAt(timesteps), last), timesteps, false);
  }
}
