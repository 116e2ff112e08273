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
 * {@code SASolverScheduler}: a stochastic Adams predictor, and a corrector that takes the last step
 * again, with the same noise, once the output at its end is known. Noise is added at timesteps 200
 * to 800, which is {@code tau_func} unless a program says otherwise. (Xue et al., SA-Solver.)
 *
 * <p>What is remembered: the corrected sample that the last step began with, the noise that it
 * drew, then the outputs, newest first.
 */
final class SaSolver {

  private static final int MOST_ORDER = 4;
  private static final int FIRST_NOISY = 200;
  private static final int LAST_NOISY = 800;

  private final boolean onImage;
  private final SolverSpace space;

  private SaSolver(boolean onImage, SolverSpace space) {
    this.onImage = onImage;
    this.space = space;
  }

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    int trainSteps = fields.trainSteps(n, options);
    int predictorOrder = fields.integer("predictor_order", 2, 1, MOST_ORDER);
    int correctorOrder = fields.integer("corrector_order", 2, 1, MOST_ORDER);
    boolean onImage =
        fields
            .choice("algorithm_type", "data_prediction", "data_prediction", "noise_prediction")
            .equals("data_prediction");
    if (fields.has("tau_func")) {
      throw fields.unsupported("tau_func", "set", "null");
    }
    Limit limit = Limit.thresholdingOf(fields);
    if (!onImage && limit != Limit.NONE) {
      throw fields.unsupported("thresholding", true, "false, with noise_prediction");
    }
    boolean lowerAtEnd = fields.flag("lower_order_final", true);
    Prediction prediction =
        onImage
            ? fields.prediction(
                Prediction.EPSILON, Prediction.SAMPLE, Prediction.VELOCITY, Prediction.FLOW)
            : fields.prediction(Prediction.EPSILON, Prediction.SAMPLE, Prediction.VELOCITY);
    NoiseSchedule schedule = NoiseSchedule.of(fields, NoiseSchedule.Defaults.DDPM);
    SaSolver solver = new SaSolver(onImage, space(fields, schedule, n, trainSteps, options));
    PlanBuilder plan = new PlanBuilder(fields, n, 1);
    int calls = solver.space.timesteps().length;
    if (prediction == Prediction.EPSILON
        && fields.word("variance_type").matches("learned|learned_range")) {
      plan.outputHasVariance();
    }
    int usable = 0;
    for (int i = options.skippedSteps(); i < calls; i++) {
      Level level = solver.space.level(i);
      // This class alone noises a given image by timestep, also where its sigmas are placed.
      double alphaBar = schedule.alphaBar((int) solver.space.timesteps()[i]);
      Call call =
          plan.call(solver.space.timesteps()[i])
              .level(Math.sqrt(alphaBar), Math.sqrt(1 - alphaBar));
      List<Linear> outputs = new ArrayList<>();
      outputs.add(
          onImage
              ? call.limited(solver.space.image(call, prediction, i), limit)
              : prediction.noise(call.x(), call.out(), level.alpha(), level.sigma()));
      List<Linear> h = call.history();
      Linear sample = call.x();
      if (!h.isEmpty()) {
        outputs.addAll(h.subList(2, h.size()));
        sample = solver.step(h.get(0), h.get(1), outputs, i - 1, i, usable, true);
      }
      int known = i - options.skippedSteps();
      int predictor = lowerAtEnd ? Math.min(predictorOrder, calls - i) : predictorOrder;
      Linear next =
          solver.step(sample, call.noise(), outputs, i, i, Math.min(predictor, known + 1), false);
      usable =
          Math.min(
              lowerAtEnd ? Math.min(correctorOrder, calls - i + 1) : correctorOrder, known + 2);
      List<Linear> memory = new ArrayList<>();
      memory.add(sample);
      memory.add(call.noise());
      int kept = Math.max(predictorOrder, correctorOrder) - 1;
      memory.addAll(outputs.subList(0, Math.min(outputs.size(), kept)));
      call.next(next, memory);
    }
    return plan.build();
  }

  /**
   * From level {@code from} to the next one, with the polynomial through the outputs at level
   * {@code newest} and those before.
   *
   * @param corrects whether {@code newest} is the level at the step's end
   */
  private Linear step(
      Linear sample,
      Linear noise,
      List<Linear> outputs,
      int from,
      int newest,
      int order,
      boolean corrects) {
    Level s = space.level(from);
    Level t = space.level(from + 1);
    double h = t.lambda() - s.lambda();
    double timestep = space.timesteps()[from];
    double tau2 = timestep >= FIRST_NOISY && timestep <= LAST_NOISY ? 1 : 0;
    double rate = 1 + tau2;
    double[] weights = new double[order];
    for (int k = 0; k < order; k++) {
      weights[k] = weight(newest, k, order, s.lambda(), t.lambda(), onImage ? rate : -1);
    }
    if (onImage && order == 2) {
      double span = corrects ? h : space.level(newest).lambda() - space.level(newest - 1).lambda();
      double moment = h * h / 2 - (h * rate - 1 + Math.exp(-rate * h)) / (rate * rate);
      double change = Math.exp(rate * t.lambda()) * moment / span;
      weights[0] += change;
      weights[1] -= change;
    }
    double scale = onImage ? rate * t.sigma() * Math.exp(-tau2 * t.lambda()) : -rate * t.alpha();
    Linear next =
        sample.times(onImage ? Math.exp(-tau2 * h) * t.sigma() / s.sigma() : t.alpha() / s.alpha());
    for (int k = 0; k < order; k++) {
      next = next.plus(outputs.get(k).times(scale * weights[k]));
    }
    double deviation =
        onImage
            ? Math.sqrt(-Math.expm1(-2 * tau2 * h))
            : Math.sqrt(tau2) * Math.sqrt(Math.expm1(2 * h));
    return next.plus(noise.times(t.sigma() * deviation));
  }

  /**
   * The integral over e^(rate u), from one log-SNR to another, of the polynomial that is 1 at level
   * newest - k and 0 at the others.
   */
  private double weight(int newest, int k, int order, double from, double to, double rate) {
    double[] polynomial = {1};
    double node = space.level(newest - k).lambda();
    for (int j = 0; j < order; j++) {
      if (j != k) {
        double other = space.level(newest - j).lambda();
        double[] product = new double[polynomial.length + 1];
        for (int d = 0; d < polynomial.length; d++) {
          product[d] -= polynomial[d] * other / (node - other);
          product[d + 1] += polynomial[d] / (node - other);
        }
        polynomial = product;
      }
    }
    double sum = 0;
    for (int d = 0; d < polynomial.length; d++) {
      sum += polynomial[d] * (antiderivative(d, to, rate) - antiderivative(d, from, rate));
    }
    return sum;
  }

  /** Of u^power e^(rate u). */
  private static double antiderivative(int power, double u, double rate) {
    double value = 1 / rate;
    for (int d = 1; d <= power; d++) {
      value = (Math.pow(u, d) - d * value) / rate;
    }
    return Math.exp(rate * u) * value;
  }

  private static SolverSpace space(
      Fields fields, NoiseSchedule schedule, int n, int trainSteps, SamplingOptions options) {
    Timesteps.check(fields);
    int clipped = SolverSpace.unclipped(fields, schedule);
    Sigmas.Placement placement = Sigmas.placement(fields);
    if (placement != Sigmas.Placement.BY_TIMESTEP) {
      double[] sigmas = SolverSpace.placed(fields, schedule, placement, n);
      boolean rounded = placement == Sigmas.Placement.KARRAS;
      return SolverSpace.at(fields, schedule, sigmas, sigmas[n - 1], rounded);
    }
    if (fields.flag("use_flow_sigmas", false)) {
      double[] sigmas = SolverSpace.flow(fields, n, trainSteps, options);
      return SolverSpace.flowing(sigmas, sigmas[n - 1], trainSteps);
    }
    double[] timesteps = Timesteps.solver(fields, n, trainSteps, clipped);
    double[] sigmas = SigmaSpace.append(schedule.sigmasAt(timesteps), schedule.leastSigma());
    return new SolverSpace(sigmas, timesteps, false);
  }
}
