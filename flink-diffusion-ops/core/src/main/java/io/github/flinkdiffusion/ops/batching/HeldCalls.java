/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static io.github.flinkdiffusion.ops.batching.CallReport.Stage.DECODE;
import static io.github.flinkdiffusion.ops.batching.CallReport.Stage.STEP;
import static java.util.stream.Collectors.toSet;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Which calls of encoding and decoding wait for others, and since when. */
final class HeldCalls<T extends BatchPlanner.Member> {
  /**
   * For how many steps a call of encoding or decoding waits for others at most. More are worth
   * their wait only in a long queue.
   */
  static final int MOST_STEPS_HELD = 16;

  private final PlannedMembers<T> members;
  private final CallLimits limits;
  private final CallTimes times;

  /** Steps that were planned. */
  private long steps;

  /** Of calls that wait for others: the steps that were planned when they began to. */
  private final Map<BatchPlanner.CallKind, Long> heldSince = new HashMap<>();

  HeldCalls(PlannedMembers<T> members, CallLimits limits, CallTimes times) {
    this.members = members;
    this.limits = limits;
    this.times = times;
  }

  /** A call is made: those of its kind begin to wait anew. */
  void made(BatchPlanner.Call<T> call) {
    heldSince.remove(call.kind());
    if (call.stage() == STEP) {
      steps++;
    }
  }

  void clear() {
    heldSince.clear();
  }

  /**
   * Whether a call of encoding or decoding is put off, because others are about to share it: each
   * call has a fixed cost. Those of the call wait for some steps; everybody else of their tenants
   * waits for one call less. It pays while the first is less in all: in a queue, and not on a
   * device that has time.
   */
  boolean waits(BatchPlanner.Call<T> call) {
    List<T> batch = call.batch();
    double fixed = times.fixedNanos(call.kind());
    if (fixed == 0
        || members.running().isEmpty()
        || members.anyAlone()
        || batch.size() >= limits.of(call.stage(), call.key())
        || batch.stream().anyMatch(BatchPlanner.Member::urgent)) {
      return false;
    }
    int stepsUntil =
        call.stage() == DECODE ? stepsUntilAnother(call.key()) : callsAreFull() ? 1 : 0;
    long heldFor = steps - heldSince.getOrDefault(call.kind(), steps);
    if (stepsUntil == 0 || heldFor + stepsUntil > MOST_STEPS_HELD) {
      return false;
    }
    Set<String> whose = batch.stream().map(PlannedMembers::tenant).collect(toSet());
    int others = whose.stream().mapToInt(members.tenants()::get).sum() - batch.size();
    boolean pays = batch.size() * stepsUntil * roundNanos() < others * fixed;
    if (pays) {
      heldSince.putIfAbsent(call.kind(), steps);
    }
    return pays;
  }

  /** Steps of a shape until one of its members has none left; 0 when there is none. */
  private int stepsUntilAnother(Object key) {
    return members.running().stream()
        .filter(member -> member.batchKey().equals(key))
        .mapToInt(BatchPlanner.Member::stepsLeft)
        .min()
        .orElse(0);
  }

  /** Whether somebody more could not make the next steps' calls larger, whatever its shape. */
  private boolean callsAreFull() {
    return members.rowsByShape().entrySet().stream()
        .allMatch(shape -> shape.getValue() >= limits.of(STEP, shape.getKey()));
  }

  /** Time in which each shape makes a step. */
  private double roundNanos() {
    return members.rowsByShape().entrySet().stream()
        .mapToDouble(
            shape ->
                times.nanos(
                    new BatchPlanner.CallKind(STEP, shape.getKey()),
                    Math.min(shape.getValue(), limits.of(STEP, shape.getKey()))))
        .sum();
  }
}
