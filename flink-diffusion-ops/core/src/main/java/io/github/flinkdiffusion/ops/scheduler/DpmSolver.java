/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;
import io.github.flinkdiffusion.ops.scheduler.SolverSpace.Level;

/**
 * The formulas of DPM-Solver and DPM-Solver++, deterministic and stochastic, of order 1 to 3, which
 * its multistep and singlestep schedulers share. All integrate from a level s to a level t over h,
 * the gain in half-log-SNR, a polynomial through the outputs m: D0 is its value, D1 and D2 its
 * first and second differences. (Lu et al., DPM-Solver, DPM-Solver++.)
 */
final class DpmSolver {

  /** {@code algorithm_type}. */
  enum Algorithm {
    DPM_SOLVER(false, false),
    DPM_SOLVER_PP(true, false),
    SDE_DPM_SOLVER(false, true),
    SDE_DPM_SOLVER_PP(true, true);

    private final boolean onImage;
    private final boolean stochastic;

    Algorithm(boolean onImage, boolean stochastic) {
      this.onImage = onImage;
      this.stochastic = stochastic;
    }

    /** Whether it integrates the predicted image (++) and not the predicted noise. */
    boolean onImage() {
      return onImage;
    }

    boolean stochastic() {
      return stochastic;
    }
  }

  private static final int MOST_ORDER = 3;

  private final Algorithm algorithm;
  private final boolean heun;
  private final Prediction prediction;
  private final Limit limit;
  private final SolverSpace space;
  private final String source;

  private DpmSolver(
      Algorithm algorithm,
      boolean heun,
      Prediction prediction,
      Limit limit,
      SolverSpace space,
      String source) {
    this.source = source;
    this.algorithm = algorithm;
    this.heun = heun;
    this.prediction = prediction;
    this.limit = limit;
    this.space = space;
  }

  static DpmSolver of(Fields fields, Algorithm algorithm, SolverSpace space) {
    // Names of other families' variants occur in configs that were written for those; the reference
    // maps them.
    String type =
        fields.choice("solver_type", "midpoint", "midpoint", "heun", "logrho", "bh1", "bh2");
    Prediction prediction =
        space.exploding()
            ? fields.prediction(Prediction.EPSILON, Prediction.VELOCITY)
            : algorithm.onImage()
                ? fields.prediction(
                    Prediction.EPSILON, Prediction.SAMPLE, Prediction.VELOCITY, Prediction.FLOW)
                : fields.prediction(Prediction.EPSILON, Prediction.SAMPLE, Prediction.VELOCITY);
    return new DpmSolver(
        algorithm,
        type.equals("heun"),
        prediction,
        Limit.thresholdingOf(fields),
        space,
        fields.source() + ": " + fields.className());
  }

  /** {@code solver_order} of a multistep class, where more than 3 is the same as 3. */
  static int order(Fields fields) {
    return Math.min(MOST_ORDER, fields.integer("solver_order", 2, 1, Integer.MAX_VALUE));
  }

  /** {@code algorithm_type} of a class that may end at sigma 0, which only some integrate to. */
  static Algorithm algorithm(Fields fields, String... supported) {
    Algorithm algorithm = named(fields, supported);
    String name = fields.choice("algorithm_type", "dpmsolver++", supported);
    // The reference refuses deis, which it takes for dpmsolver++, just as those without the pluses.
    if (!name.endsWith("++")
        && fields.choice("final_sigmas_type", "zero", "zero", "sigma_min").equals("zero")) {
      throw fields.unsupported(
          "final_sigmas_type", "zero", "sigma_min, with algorithm_type = " + name);
    }
    return algorithm;
  }

  /** {@code algorithm_type} alone. */
  static Algorithm named(Fields fields, String... supported) {
    return switch (fields.choice("algorithm_type", "dpmsolver++", supported)) {
      case "dpmsolver" -> Algorithm.DPM_SOLVER;
      case "sde-dpmsolver" -> Algorithm.SDE_DPM_SOLVER;
      case "sde-dpmsolver++" -> Algorithm.SDE_DPM_SOLVER_PP;
      default -> Algorithm.DPM_SOLVER_PP;
    };
  }

  /** A plan to fill. Of an output with variances only the prediction is used. */
  PlanBuilder plan(Fields fields, int n) {
    PlanBuilder plan = new PlanBuilder(fields, n, 1);
    boolean learned = fields.word("variance_type").matches("learned|learned_range");
    if (learned && prediction == Prediction.EPSILON) {
      plan.outputHasVariance();
    }
    return plan;
  }

  Call open(PlanBuilder plan, int i) {
    Level level = space.level(i);
    return plan.call(space.timesteps()[i]).level(level.alpha(), level.sigma());
  }

  /** What the solver integrates: the predicted image for ++, else the predicted noise. */
  Linear output(Call call, int i) {
    Level level = space.level(i);
    double alpha = level.alpha();
    double sigma = level.sigma();
    if (algorithm.onImage()) {
      return call.limited(space.image(call, prediction, i), limit);
    }
    Linear noise = prediction.noise(call.x(), call.out(), alpha, sigma);
    if (limit == Limit.NONE) {
      return noise;
    }
    Linear image = call.limited(call.x().minus(noise.times(sigma)).dividedBy(alpha), limit);
    return call.x().minus(image.times(alpha)).dividedBy(sigma);
  }

  /** Order 1: the output is constant from sigma {@code from} to sigma {@code to}. */
  Linear first(Call call, Linear sample, Linear d0, int from, int to) {
    double h = space.logSnrGain(from, to);
    return carry(call, sample, from, to).plus(d0.times(zeroth(h, to)));
  }

  /** Order 2: the output changes by D1, linearly. */
  Linear second(Call call, Linear sample, Linear d0, Linear d1, int from, int to) {
    double h = space.logSnrGain(from, to);
    double weight = defined(heun ? firstMoment(h, to) : 0.5 * zeroth(h, to));
    return first(call, sample, d0, from, to).plus(d1.times(weight));
  }

  /** Order 3, or the order-3 singlestep midpoint rule when {@code d2} is null. */
  Linear third(Call call, Linear sample, Linear d0, Linear d1, Linear d2, int from, int to) {
    double h = space.logSnrGain(from, to);
    Linear linear = first(call, sample, d0, from, to).plus(d1.times(defined(firstMoment(h, to))));
    return d2 == null ? linear : linear.plus(d2.times(defined(secondMoment(h, to))));
  }

  /** Two equal sigmas in a row leave nothing to divide by; the reference samples NaN then. */
  private double defined(double weight) {
    if (Double.isNaN(weight)) {
      throw new SchedulerException(
          source + ": two sigmas are the same; supported: fewer steps, or a lower solver_order");
    }
    return weight;
  }

  /**
   * Whether EDM's last step goes nowhere, since the least sigma of its placement is also the last
   * sigma. The reference's two differ by float32's rounding alone, or it samples NaN.
   */
  boolean standsStill(int step) {
    return space.exploding() && space.sigmas()[step] == space.sigmas()[step + 1];
  }

  boolean heun() {
    return heun;
  }

  Prediction prediction() {
    return prediction;
  }

  Limit limit() {
    return limit;
  }

  boolean hasThirdOrder() {
    return space.exploding() ? !algorithm.stochastic() : algorithm != Algorithm.SDE_DPM_SOLVER;
  }

  SolverSpace space() {
    return space;
  }

  /** What is left of the sample itself, and the noise that stochastic variants add. */
  private Linear carry(Call call, Linear sample, int from, int to) {
    Level s = space.level(from);
    Level t = space.level(to);
    double h = space.logSnrGain(from, to);
    double kept =
        switch (algorithm) {
          case DPM_SOLVER, SDE_DPM_SOLVER -> t.alpha() / s.alpha();
          case DPM_SOLVER_PP -> t.sigma() / s.sigma();
          case SDE_DPM_SOLVER_PP -> t.sigma() / s.sigma() * Math.exp(-h);
        };
    Linear carried = sample.times(kept);
    if (!algorithm.stochastic()) {
      return carried;
    }
    double variance = algorithm.onImage() ? -Math.expm1(-2 * h) : Math.expm1(2 * h);
    return carried.plus(call.noise().times(t.sigma() * Math.sqrt(variance)));
  }

  /** Weight of a constant output. */
  private double zeroth(double h, int to) {
    Level t = space.level(to);
    return switch (algorithm) {
      case DPM_SOLVER -> -t.sigma() * Math.expm1(h);
      case DPM_SOLVER_PP -> -t.alpha() * Math.expm1(-h);
      case SDE_DPM_SOLVER -> -2 * t.sigma() * Math.expm1(h);
      case SDE_DPM_SOLVER_PP -> -t.alpha() * Math.expm1(-2 * h);
    };
  }

  /** Weight of an output that grows linearly to 1. */
  private double firstMoment(double h, int to) {
    Level t = space.level(to);
    return switch (algorithm) {
      case DPM_SOLVER -> -t.sigma() * (Math.expm1(h) / h - 1);
      case DPM_SOLVER_PP -> t.alpha() * (Math.expm1(-h) / h + 1);
      case SDE_DPM_SOLVER -> -2 * t.sigma() * (Math.expm1(h) / h - 1);
      case SDE_DPM_SOLVER_PP -> t.alpha() * (Math.expm1(-2 * h) / (2 * h) + 1);
    };
  }

  /** Weight of an output that grows quadratically. */
  private double secondMoment(double h, int to) {
    Level t = space.level(to);
    return switch (algorithm) {
      case DPM_SOLVER -> -t.sigma() * ((Math.expm1(h) - h) / (h * h) - 0.5);
      case DPM_SOLVER_PP -> -t.alpha() * ((Math.expm1(-h) + h) / (h * h) - 0.5);
      case SDE_DPM_SOLVER_PP -> t.alpha() * ((-Math.expm1(-2 * h) - 2 * h) / (4 * h * h) - 0.5);
      case SDE_DPM_SOLVER -> throw new IllegalStateException("sde-dpmsolver has no third order");
    };
  }
}
