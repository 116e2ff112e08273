/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import java.util.Arrays;

/**
 * {@code DPMSolverMultistepInverseScheduler}: {@link DpmSolverMultistep} run backwards, from a
 * clean image to the noise that would make it. Starts from an image, as {@link DdimInverse}, and
 * its timesteps ascend; of those that are the same only the first is made.
 */
final class DpmSolverInverse {

  private DpmSolverInverse() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    int trainSteps = fields.trainSteps(n, options);
    DpmSolver.Algorithm algorithm =
        DpmSolver.named(
            fields, "dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++", "deis");
    SolverSpace space = space(fields, n, trainSteps, options);
    DpmSolver solver = DpmSolver.of(fields, algorithm, space);
    int calls = space.timesteps().length;
    if (calls > 1 && space.timesteps()[0] == space.timesteps()[1]) {
      // The reference takes the second for the first then, and runs out of sigmas.
      throw new SchedulerException(
          "%s: %s in %d steps begins with timestep %s twice; supported: fewer steps"
              .formatted(fields.source(), fields.className(), n, space.timesteps()[0]));
    }
    PlanBuilder plan = solver.plan(fields, n);
    return DpmSolverMultistep.sample(
        fields,
        solver,
        plan,
        calls,
        options.skippedSteps(),
        false,
        i -> solver.open(plan, i),
        solver::output);
  }

  private static SolverSpace space(Fields fields, int n, int trainSteps, SamplingOptions options) {
    Timesteps.check(fields);
    NoiseSchedule schedule = NoiseSchedule.of(fields, NoiseSchedule.Defaults.DDPM);
    Sigmas.Placement placement = Sigmas.placement(fields);
    int usable = SolverSpace.unclipped(fields, schedule);
    boolean flow = fields.flag("use_flow_sigmas", false);
    if (placement != Sigmas.Placement.BY_TIMESTEP) {
      // The reference hands the ends over in this order, and a config's own ends stay where they
      // are.
      double from = fields.optionalNumber("sigma_max", schedule.leastSigma());
      double to = fields.optionalNumber("sigma_min", schedule.greatestSigma());
      double[] sigmas = Sigmas.place(placement, from, to, n);
      double[] exact = schedule.timestepsOf(sigmas);
      boolean rounded = placement == Sigmas.Placement.KARRAS;
      double[] unique = unique(rounded ? SolverSpace.rounded(exact) : exact);
      double[] levels = SigmaSpace.append(sigmas, sigmas[n - 1]);
      return new SolverSpace(levels, SolverSpace.truncated(unique), flow);
    }
    if (flow) {
      double[] sigmas = SolverSpace.flow(fields, n, trainSteps, options);
      return SolverSpace.flowing(sigmas, sigmas[n - 1], trainSteps);
    }
    double[] timesteps = Timesteps.solver(fields, n, trainSteps, usable);
    double[] ascending = ascending(fields, timesteps, n, usable);
    double[] levels = schedule.sigmasAt(ascending);
    return new SolverSpace(
        SigmaSpace.append(levels, schedule.sigmaAt(usable - 1)), unique(ascending), false);
  }

  /** Each step begins where the one of the descending way ends. */
  private static double[] ascending(Fields fields, double[] descending, int n, int usable) {
    String spacing = fields.choice("timestep_spacing", "linspace", Timesteps.SPACINGS);
    // As many as the descending ones, of which clipping leaves fewer than n where they are
    // trailing.
    double[] ascending = new double[descending.length];
    if (spacing.equals("linspace")) {
      double[] all = Timesteps.linspace(0, usable - 1, n + 1);
      for (int i = 0; i < n; i++) {
        ascending[i] = Math.rint(all[i]);
      }
    } else if (spacing.equals("leading")) {
      int stride = usable / (n + 1);
      for (int i = 0; i < n; i++) {
        ascending[i] = (double) i * stride + fields.integer("steps_offset", 0);
      }
    } else {
      System.arraycopy(descending, 0, ascending, 0, descending.length);
      reverse(ascending);
    }
    return ascending;
  }

  private static double[] unique(double[] values) {
    return Arrays.stream(values).distinct().toArray();
  }

  private static void reverse(double[] values) {
    for (int i = 0; i < values.length / 2; i++) {
      double kept = values[i];
      values[i] = values[values.length - 1 - i];
      values[values.length - 1 - i] = kept;
    }
  }
}
