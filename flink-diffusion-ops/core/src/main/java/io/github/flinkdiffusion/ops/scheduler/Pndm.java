/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.DoubleStream;

/**
 * {@code PNDMScheduler}: a linear multistep method (PLMS) on DDIM's transfer, which needs the
 * outputs of three earlier calls. It gets them either from three Runge-Kutta steps of four calls
 * each, or, with {@code skip_prk_steps} as Stable Diffusion has it, by climbing up from order 1,
 * whose first step is taken twice. (Liu et al., Pseudo Numerical Methods for Diffusion Models on
 * Manifolds.)
 *
 * <p>What is remembered: the outputs, newest first; then, while a step is half done, the sample it
 * began with and, in the Runge-Kutta phase, the weighted sum of its outputs.
 */
final class Pndm {

  private static final int ORDER = 4;
  private static final int CALLS_PER_RUNGE_KUTTA_STEP = 4;

  private final NoiseSchedule schedule;
  private final Prediction prediction;
  private final double lastAlphaBar;
  private final PlanBuilder plan;
  private final int stride;

  private Pndm(Fields fields, int n, int trainSteps) {
    this.schedule = NoiseSchedule.of(fields, NoiseSchedule.Defaults.DDPM);
    this.prediction = fields.prediction(Prediction.EPSILON, Prediction.VELOCITY);
    this.lastAlphaBar = fields.flag("set_alpha_to_one", false) ? 1 : schedule.alphaBar(0);
    this.plan = new PlanBuilder(fields, n, 1);
    this.stride = trainSteps / n;
  }

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    int trainSteps = fields.trainSteps(n, options);
    boolean rungeKutta = !fields.flag("skip_prk_steps", false);
    if (rungeKutta && n < ORDER) {
      throw fields.unsupported(
          "skip_prk_steps",
          false,
          "true, or at least " + ORDER + " steps (" + n + " were asked for)");
    }
    double[] spaced = Timesteps.whole(fields, "leading", n, trainSteps);
    Pndm pndm = new Pndm(fields, n, trainSteps);
    if (rungeKutta) {
      pndm.afterRungeKutta(spaced, options.skippedSteps());
    } else {
      pndm.multistep(firstStepTwice(spaced, options.skippedSteps()), false);
    }
    return pndm.plan.build();
  }

  /**
   * The second timestep comes twice: the first step is tried, then taken with the mean of both
   * outputs.
   */
  private static double[] firstStepTwice(double[] spaced, int skipped) {
    List<Double> timesteps = new ArrayList<>();
    for (int i = 0; i < spaced.length; i++) {
      timesteps.add(spaced[i]);
      if (i == 1) {
        timesteps.add(spaced[i]);
      }
    }
    return timesteps.stream().skip(skipped).mapToDouble(Double::doubleValue).toArray();
  }

  /**
   * Three Runge-Kutta steps, then multistep. What is skipped is as many calls, and the phases begin
   * anew at the first call that is left: the reference counts calls from there, and takes the
   * beginnings of the Runge-Kutta steps where they would be without skipping.
   */
  private void afterRungeKutta(double[] spaced, int skipped) {
    double[] unskipped = rungeKuttaTimesteps(spaced);
    double[] multistep = Arrays.copyOfRange(spaced, ORDER - 1, spaced.length);
    double[] left =
        DoubleStream.concat(Arrays.stream(unskipped), Arrays.stream(multistep))
            .skip(skipped)
            .toArray();
    int phase = Math.min(unskipped.length, left.length);
    rungeKutta(Arrays.copyOf(left, phase), unskipped);
    multistep(Arrays.copyOfRange(left, phase, left.length), true);
  }

  /** Start of each step, its middle twice, its end: the middle as the end plus half a stride. */
  private double[] rungeKuttaTimesteps(double[] spaced) {
    double[] timesteps = new double[(ORDER - 1) * CALLS_PER_RUNGE_KUTTA_STEP];
    for (int step = 0; step < ORDER - 1; step++) {
      double middle = spaced[step + 1] + stride / 2;
      int first = step * CALLS_PER_RUNGE_KUTTA_STEP;
      timesteps[first] = spaced[step];
      timesteps[first + 1] = middle;
      timesteps[first + 2] = middle;
      timesteps[first + 3] = spaced[step + 1];
    }
    return timesteps;
  }

  /**
   * @param timesteps of the calls
   * @param beginnings where, at the first call of every four, their step begins
   */
  private void rungeKutta(double[] timesteps, double[] beginnings) {
    for (int i = 0; i < timesteps.length; i++) {
      int t = (int) timesteps[i];
      int from = (int) beginnings[i / CALLS_PER_RUNGE_KUTTA_STEP * CALLS_PER_RUNGE_KUTTA_STEP];
      int to = i % 2 == 0 ? t - stride / 2 : t;
      Call call = open(t);
      List<Linear> h = call.history();
      int outputs = i / CALLS_PER_RUNGE_KUTTA_STEP;
      switch (i % CALLS_PER_RUNGE_KUTTA_STEP) {
        case 0 -> {
          List<Linear> memory = new ArrayList<>();
          memory.add(call.out());
          memory.addAll(h);
          memory.add(call.x());
          memory.add(call.out().times(1.0 / 6));
          call.next(transfer(call.x(), call.out(), from, to), memory);
        }
        case 1, 2 -> {
          Linear begin = h.get(outputs + 1);
          List<Linear> memory = new ArrayList<>(h.subList(0, outputs + 2));
          memory.add(h.get(outputs + 2).plus(call.out().times(1.0 / 3)));
          call.next(transfer(begin, call.out(), from, to), memory);
        }
        default -> {
          Linear begin = h.get(outputs + 1);
          Linear output = h.get(outputs + 2).plus(call.out().times(1.0 / 6));
          call.next(transfer(begin, output, from, to), h.subList(0, outputs + 1));
        }
      }
    }
  }

  private void multistep(double[] timesteps, boolean afterRungeKutta) {
    for (int i = 0; i < timesteps.length; i++) {
      int t = (int) timesteps[i];
      Call call = open(t);
      List<Linear> h = call.history();
      if (!afterRungeKutta && i == 0) {
        call.next(transfer(call.x(), call.out(), t, t - stride), call.out(), call.x());
      } else if (!afterRungeKutta && i == 1) {
        Linear mean = call.out().plus(h.get(0)).dividedBy(2);
        call.next(transfer(h.get(1), mean, t + stride, t), h.get(0));
      } else {
        List<Linear> outputs = new ArrayList<>();
        outputs.add(call.out());
        outputs.addAll(h);
        call.next(
            transfer(call.x(), adamsBashforth(outputs), t, t - stride),
            outputs.subList(0, Math.min(outputs.size(), ORDER - 1)));
      }
    }
  }

  static Linear adamsBashforth(List<Linear> newestFirst) {
    double[] weights =
        switch (newestFirst.size()) {
          case 2 -> new double[] {3.0 / 2, -1.0 / 2};
          case 3 -> new double[] {23.0 / 12, -16.0 / 12, 5.0 / 12};
          default -> new double[] {55.0 / 24, -59.0 / 24, 37.0 / 24, -9.0 / 24};
        };
    Linear sum = Linear.ZERO;
    for (int i = 0; i < weights.length; i++) {
      sum = sum.plus(newestFirst.get(i).times(weights[i]));
    }
    return sum;
  }

  private Call open(int t) {
    double alphaBar = schedule.alphaBar(t);
    return plan.call(t).level(Math.sqrt(alphaBar), Math.sqrt(1 - alphaBar));
  }

  /** Formula 9 of the paper: carries a sample from one timestep to another along a given output. */
  private Linear transfer(Linear sample, Linear output, int fromTimestep, int toTimestep) {
    double from = schedule.alphaBar(fromTimestep);
    double to = toTimestep >= 0 ? schedule.alphaBar(toTimestep) : lastAlphaBar;
    Linear noise = prediction.noise(sample, output, Math.sqrt(from), Math.sqrt(1 - from));
    double divisor = from * Math.sqrt(1 - to) + Math.sqrt(from * (1 - from) * to);
    return sample.times(Math.sqrt(to / from)).minus(noise.times((to - from) / divisor));
  }
}
