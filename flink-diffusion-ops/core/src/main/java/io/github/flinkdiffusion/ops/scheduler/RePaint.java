/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * {@code RePaintScheduler}: DDIM that puts a known part of the image back after each step, with the
 * noise of its level, and goes back to more noise again and again so that both parts become one.
 * (Lugmayr et al. 2022.) The steps back need no network: they belong to the step before them.
 */
final class RePaint {

  /** Of a whole plan. The default, 250 steps with jumps of 10 by 10, has 2,410. */
  private static final int MOST_CALLS = 50_000;

  private static final float[] NO_BETAS = {};

  private final float[] betas;
  private final NoiseSchedule schedule;
  private final Limit limit;
  private final double eta;
  private final int stride;
  private final PlanBuilder plan;

  private RePaint(Fields fields, int n, int trainSteps, SamplingOptions options) {
    String[] known = {"linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid"};
    if (fields.has("trained_betas")) {
      // The reference takes an array there, which a file cannot hold.
      throw fields.unsupported(
          "trained_betas", fields.numbers("trained_betas").length + " betas", "null");
    }
    this.betas = NoiseSchedule.betas(fields, NoiseSchedule.Defaults.DDPM, known);
    this.schedule = NoiseSchedule.of(fields, NoiseSchedule.Defaults.DDPM, known);
    this.limit = fields.flag("clip_sample", true) ? new Limit.Clamp(1) : Limit.NONE;
    double own = fields.number("eta", 0);
    this.eta = options.eta() == null ? own : options.eta();
    this.stride = trainSteps / n;
    this.plan = new PlanBuilder(fields, n, 1);
  }

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    int trainSteps = fields.trainSteps(n, options);
    fields.requireAllSteps(options);
    RePaint rePaint = new RePaint(fields, n, trainSteps, options);
    // A step and the jump after it are made again and again: they are one object each.
    Map<List<Integer>, Integer> built = new HashMap<>();
    List<Integer> order = new ArrayList<>();
    for (List<Integer> stepAndJump : stepsAndJumps(fields, n, options.jumps())) {
      order.add(
          built.computeIfAbsent(
              stepAndJump,
              key -> {
                rePaint.add(key.get(0), key.get(1));
                return built.size();
              }));
    }
    return rePaint.plan.build().inOrder(order);
  }

  /**
   * Each network call's step, counted from the clean end, and how many steps lead back after it.
   */
  private static List<List<Integer>> stepsAndJumps(Fields fields, int n, Jumps jumps) {
    Map<Integer, Integer> left = new HashMap<>();
    for (int step = 0; step < n - jumps.length(); step += jumps.length()) {
      left.put(step, jumps.samples() - 1);
    }
    List<List<Integer>> calls = new ArrayList<>();
    int step = n;
    while (step >= 1) {
      step--;
      int jump = left.getOrDefault(step, 0) > 0 ? jumps.length() : 0;
      calls.add(List.of(step, jump));
      if (calls.size() > MOST_CALLS) {
        throw new SchedulerException(
            "%s: %s makes more than %d network calls of %d steps with jumps of %d, %d samples; supported: fewer of them"
                .formatted(
                    fields.source(),
                    fields.className(),
                    MOST_CALLS,
                    n,
                    jumps.length(),
                    jumps.samples()));
      }
      if (jump > 0) {
        left.merge(step, -1, Integer::sum);
        step += jump;
      }
    }
    return calls;
  }

  private void add(int step, int jump) {
    int t = step * stride;
    int previous = t - stride;
    double from = schedule.alphaBar(t);
    double to = previous >= 0 ? schedule.alphaBar(previous) : 1;
    double alpha = Math.sqrt(from);
    double sigma = Math.sqrt(1 - from);
    double deviation = eta * Math.sqrt((1 - to) / (1 - from) * (1 - from / to));
    Call call = plan.call(t).level(alpha, sigma);
    Linear image =
        call.limited(Prediction.EPSILON.image(call.x(), call.out(), alpha, sigma), limit);
    Linear next =
        image
            .times(Math.sqrt(to))
            .plus(call.out().times(Math.sqrt(1 - to - deviation * deviation)))
            .plus(call.noise().times(t > 0 ? deviation : 0));
    call.known(new KnownStep(Math.sqrt(to), Math.sqrt(1 - to), back(t, jump), 1)).next(next);
  }

  /** The betas between a timestep and one that some steps lead back to. */
  private float[] back(int t, int jump) {
    if (jump == 0) {
      return NO_BETAS;
    }
    float[] back = new float[jump * stride];
    System.arraycopy(betas, t, back, 0, back.length);
    return back;
  }
}
