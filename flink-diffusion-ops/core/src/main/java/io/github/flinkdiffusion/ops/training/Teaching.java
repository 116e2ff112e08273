/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.network.Scope;

/**
 * The networks and the batch of a distillation, while its loss is emitted.
 *
 * @param numbers [N,K,1,1]: weight, threshold, guidance weight, then signal and noise of each
 *     level, then further ones
 * @param timesteps [N,L]
 * @param context encoded prompts; null without
 * @param empty encoded empty prompts; null where the teacher is not guided by two calls
 * @param guidance embedded scales; null where no network embeds them
 */
record Teaching(
    DistillationObjective objective,
    Method method,
    Value clean,
    Value noise,
    Value numbers,
    Value timesteps,
    Value context,
    Value empty,
    Value guidance) {
  /** Numbers before those of levels. */
  static final int FIRST = 3;

  PredictionTarget target() {
    return objective.target();
  }

  Value signal(int point) {
    return number(FIRST + 2 * point);
  }

  Value level(int point) {
    return number(FIRST + 2 * point + 1);
  }

  Value more(int index) {
    return number(FIRST + 2 * objective.distillation().points() + index);
  }

  private Value number(int index) {
    return method.narrow(numbers, 1, index, 1);
  }

  private Value timestep(int point) {
    return method.squeeze(method.narrow(timesteps, 1, point, 1), 1);
  }

  /** The clean sample with the batch's noise. */
  Value noisy(int point) {
    return method.add(method.multiply(signal(point), clean), method.multiply(level(point), noise));
  }

  Predicted said(Value prediction, Value noisy, int point) {
    return Predicted.of(method, target(), prediction, noisy, signal(point), level(point));
  }

  /** A step of DDIM to a level. */
  Value step(Predicted said, int to) {
    return said.at(method, signal(to), level(to));
  }

  Value student(Value noisy, int point) {
    return call(objective.student(), DistillationObjective.STUDENT, noisy, point, context);
  }

  /** The student with averaged weights. */
  Value average(Value noisy, int point) {
    return call(objective.student(), DistillationObjective.AVERAGE, noisy, point, context);
  }

  /** With guidance, by as many calls as the teacher needs for it. */
  Value teacher(Value noisy, int point) {
    Value with = call(objective.teacher(), DistillationObjective.TEACHER, noisy, point, context);
    if (empty == null) {
      return with;
    }
    Value without = call(objective.teacher(), DistillationObjective.TEACHER, noisy, point, empty);
    return method.add(with, method.multiply(number(2), method.subtract(with, without)));
  }

  private Value call(
      DistillationObjective.Party party, String root, Value noisy, int point, Value prompts) {
    Scope at = new Scope(method, root);
    Value scale = party.guidanceSize() > 0 ? guidance : null;
    return method.toFloat(party.network().emit(at, noisy, timestep(point), prompts, scale));
  }

  /** The weighted mean distance. */
  Value distance(Value answer, Value wanted) {
    return method.mean(
        method.multiply(
            number(0), objective.distance().between(method, answer, wanted, number(1))));
  }
}
