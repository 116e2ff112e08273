/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;
import io.github.flinkdiffusion.ops.scheduler.SolverSpace.Level;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.commons.math3.linear.Array2DRowRealMatrix;
import org.apache.commons.math3.linear.ArrayRealVector;
import org.apache.commons.math3.linear.LUDecomposition;
import org.apache.commons.math3.linear.SingularMatrixException;

/**
 * {@code UniPCMultistepScheduler}: a predictor of order p, and a corrector of order p that takes
 * the last step again once the output at its end is known, at no extra call. (Zhao et al., UniPC.)
 *
 * <p>What is remembered: the corrected sample that the last step began with, then the outputs,
 * newest first.
 */
final class UniPc {

  private static final int MAX_ORDER = 4;

  private final boolean onImage;
  private final boolean bh2;
  private final SolverSpace space;

  private UniPc(boolean onImage, boolean bh2, SolverSpace space) {
    this.onImage = onImage;
    this.bh2 = bh2;
    this.space = space;
  }

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    int trainSteps = fields.trainSteps(n, options);
    int order = fields.integer("solver_order", 2, 1, MAX_ORDER);
    if (fields.has("solver_p")) {
      throw fields.unsupported("solver_p", "set", "null");
    }
    boolean onImage = fields.flag("predict_x0", true);
    // Names of the other families' variants are taken for the default, as the reference does.
    String type = fields.choice("solver_type", "bh2", "bh1", "bh2", "midpoint", "heun", "logrho");
    boolean lowerAtEnd = fields.flag("lower_order_final", true);
    double[] uncorrected =
        fields.has("disable_corrector") ? fields.numbers("disable_corrector") : new double[0];
    Prediction prediction =
        onImage
            ? fields.prediction(
                Prediction.EPSILON, Prediction.SAMPLE, Prediction.VELOCITY, Prediction.FLOW)
            : fields.prediction(Prediction.EPSILON, Prediction.SAMPLE, Prediction.VELOCITY);
    Limit limit = onImage ? Limit.thresholdingOf(fields) : Limit.NONE;
    UniPc solver = new UniPc(onImage, !type.equals("bh1"), space(fields, n, trainSteps, options));
    PlanBuilder plan = new PlanBuilder(fields, n, 1);
    int lastOrder = 0;
    for (int i = options.skippedSteps(); i < n; i++) {
      Level level = solver.space.level(i);
      Call call = plan.call(solver.space.timesteps()[i]).level(level.alpha(), level.sigma());
      Linear output =
          onImage
              ? call.limited(solver.space.image(call, prediction, i), limit)
              : prediction.noise(call.x(), call.out(), level.alpha(), level.sigma());
      List<Linear> h = call.history();
      List<Linear> earlier = h.isEmpty() ? h : h.subList(1, h.size());
      int step = i;
      boolean corrects =
          !h.isEmpty()
              && IntStream.range(0, uncorrected.length).noneMatch(k -> uncorrected[k] == step - 1);
      Linear sample =
          corrects ? solver.corrected(h.get(0), output, earlier, i, lastOrder, fields) : call.x();
      List<Linear> outputs = new ArrayList<>();
      outputs.add(output);
      outputs.addAll(earlier);
      int usable = Math.min(lowerAtEnd ? Math.min(order, n - i) : order, outputs.size());
      Linear next = solver.predicted(sample, outputs, i, usable, fields);
      lastOrder = usable;
      List<Linear> memory = new ArrayList<>();
      memory.add(sample);
      memory.addAll(outputs.subList(0, Math.min(outputs.size(), order)));
      call.next(next, memory);
    }
    return plan.build();
  }

  /** From level i to level i + 1 with the outputs at levels i, i - 1, ... */
  private Linear predicted(Linear sample, List<Linear> outputs, int i, int order, Fields fields) {
    double h = space.logSnrGain(i, i + 1);
    Linear next = firstOrder(sample, outputs.get(0), i, i + 1);
    if (order == 1) {
      return next;
    }
    double[] ratios = ratios(i, i + 1, order);
    double[] weights = order == 2 ? new double[] {0.5} : solve(ratios, h, order - 1, fields);
    return next.plus(differences(outputs, ratios, weights, order).times(-carry(i + 1) * basis(h)));
  }

  /** From level i - 1 to level i again, now with the output at level i as well as those before. */
  private Linear corrected(
      Linear sample, Linear output, List<Linear> earlier, int i, int order, Fields fields) {
    double h = space.logSnrGain(i - 1, i);
    double[] ratios = ratios(i - 1, i, order);
    double[] weights = order == 1 ? new double[] {0.5} : solve(ratios, h, order, fields);
    Linear residual =
        differences(earlier, ratios, weights, order)
            .plus(output.minus(earlier.get(0)).times(weights[order - 1]));
    return firstOrder(sample, earlier.get(0), i - 1, i).plus(residual.times(-carry(i) * basis(h)));
  }

  private Linear firstOrder(Linear sample, Linear output, int from, int to) {
    Level s = space.level(from);
    Level t = space.level(to);
    double h = space.logSnrGain(from, to);
    double kept = onImage ? t.sigma() / s.sigma() : t.alpha() / s.alpha();
    return sample.times(kept).plus(output.times(-carry(to) * Math.expm1(signed(h))));
  }

  /** The sum of weighted divided differences between earlier outputs and the newest. */
  private static Linear differences(
      List<Linear> outputs, double[] ratios, double[] weights, int order) {
    Linear sum = Linear.ZERO;
    for (int k = 1; k < order; k++) {
      Linear difference = outputs.get(k).minus(outputs.get(0)).dividedBy(ratios[k - 1]);
      sum = sum.plus(difference.times(weights[k - 1]));
    }
    return sum;
  }

  /**
   * Where the earlier levels lie, in units of the step, seen from its beginning; the last is the
   * step's end, 1.
   */
  private double[] ratios(int from, int to, int order) {
    double h = space.logSnrGain(from, to);
    double[] ratios = new double[order];
    for (int k = 1; k < order; k++) {
      ratios[k - 1] = -space.logSnrGain(from - k, from) / h;
    }
    ratios[order - 1] = 1;
    return ratios;
  }

  /** Weights for which the step is exact for polynomials of the given order. */
  private double[] solve(double[] ratios, double h, int order, Fields fields) {
    double hh = signed(h);
    double[][] powers = new double[order][order];
    double[] moments = new double[order];
    double phi = Math.expm1(hh) / hh - 1;
    double factorial = 1;
    for (int row = 0; row < order; row++) {
      for (int k = 0; k < order; k++) {
        powers[row][k] = Math.pow(ratios[k], row);
      }
      moments[row] = phi * factorial / basis(h);
      factorial *= row + 2;
      phi = phi / hh - 1 / factorial;
    }
    try {
      return new LUDecomposition(new Array2DRowRealMatrix(powers, false))
          .getSolver()
          .solve(new ArrayRealVector(moments, false))
          .toArray();
    } catch (SingularMatrixException e) {
      throw new SchedulerException(
          String.format(
              "%s: %s repeats a noise level, or ends at sigma 0 with full order; supported: fewer"
                  + " steps, or lower_order_final = true",
              fields.source(), fields.className()),
          e);
    }
  }

  /** The step size that the equations are written in: B(h) of the paper. */
  private double basis(double h) {
    return bh2 ? Math.expm1(signed(h)) : signed(h);
  }

  private double signed(double h) {
    return onImage ? -h : h;
  }

  private double carry(int i) {
    Level level = space.level(i);
    return onImage ? level.alpha() : level.sigma();
  }

  // ---------------------------------------------------------------- noise levels

  private static SolverSpace space(Fields fields, int n, int trainSteps, SamplingOptions options) {
    Timesteps.check(fields);
    NoiseSchedule schedule = NoiseSchedule.withNearlyZeroSnr(fields, NoiseSchedule.Defaults.DDPM);
    boolean toZero = fields.choice("final_sigmas_type", "zero", "zero", "sigma_min").equals("zero");
    boolean flow = fields.flag("use_flow_sigmas", false);
    if (fields.has("shift_terminal") && !flow) {
      throw fields.unsupported(
          "shift_terminal",
          fields.optionalNumber("shift_terminal", 0),
          "null, or use_flow_sigmas = true");
    }
    if (fields.flag("use_dynamic_shifting", false) && options.mu() == null) {
      throw fields.unsupported("use_dynamic_shifting", true, "true with a value for mu, or false");
    }
    Sigmas.Placement placement = Sigmas.placement(fields);
    if (!options.sigmas().isEmpty()) {
      fields.requireNoPlacement("sigmas", Sigmas.FLAGS);
      if (!flow) {
        throw fields.unsupported("use_flow_sigmas", false, "true, when sigmas are listed");
      }
    }
    if (placement != Sigmas.Placement.BY_TIMESTEP) {
      double[] sigmas = SolverSpace.placed(fields, schedule, placement, n);
      boolean karras = placement == Sigmas.Placement.KARRAS;
      if (karras && flow) {
        for (int i = 0; i < n; i++) {
          sigmas[i] = sigmas[i] / (sigmas[i] + 1);
        }
        return SolverSpace.flowing(sigmas, toZero ? 0 : sigmas[n - 1], trainSteps);
      }
      return SolverSpace.at(fields, schedule, sigmas, toZero ? 0 : sigmas[n - 1], karras);
    }
    if (flow) {
      double[] sigmas = flow(fields, n, trainSteps, options);
      return SolverSpace.flowing(sigmas, toZero ? 0 : sigmas[n - 1], trainSteps);
    }
    double[] timesteps = Timesteps.solver(fields, n, trainSteps, trainSteps);
    double last = toZero ? 0 : schedule.leastSigma();
    return new SolverSpace(SigmaSpace.append(schedule.sigmasAt(timesteps), last), timesteps, false);
  }

  /** This class places flow sigmas from 1 itself, and only then keeps clear of it. */
  private static double[] flow(Fields fields, int n, int trainSteps, SamplingOptions options) {
    boolean linear =
        fields.flag("use_dynamic_shifting", false)
            && fields
                .choice("time_shift_type", "exponential", "exponential", "linear")
                .equals("linear");
    double shift = linear ? options.mu() : SolverSpace.flowShift(fields, options);
    double[] sigmas = Arrays.copyOf(Timesteps.linspace(1, 1.0 / trainSteps, n + 1), n);
    if (!options.sigmas().isEmpty()) {
      fields.requireCount("sigmas", options.sigmas().size(), n, n);
      sigmas = SolverSpace.flowSigmas(fields, options);
    }
    for (int i = 0; i < n; i++) {
      sigmas[i] = shift * sigmas[i] / (1 + (shift - 1) * sigmas[i]);
    }
    double terminal = fields.optionalNumber("shift_terminal", 0);
    if (terminal != 0) {
      double stretch = (1 - sigmas[n - 1]) / (1 - terminal);
      for (int i = 0; i < n; i++) {
        sigmas[i] = 1 - (1 - sigmas[i]) / stretch;
      }
    }
    double clearance = 1e-6;
    if (Math.abs(sigmas[0] - 1) < clearance) {
      sigmas[0] -= clearance;
    }
    return sigmas;
  }
}
