/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;
import java.util.function.ToIntFunction;

/**
 * Leaves a few members of a call to the next one where a row takes less time without them.
 *
 * <p>A device computes some numbers of rows faster than others: two threads that take a row each
 * need as long for five rows as for six. So three members that make their steps in calls of two are
 * done sooner, all of them, than in calls of three. Those with the most steps left are left out,
 * for they can wait best, but nobody twice in a row.
 *
 * <p>The time of each number of rows is that of the calls that were made. A number that was hardly
 * tried is not chosen, and what is avoided is tried again now and then. Used by one thread.
 *
 * @param <T> what takes part in calls; told apart by identity
 */
final class FasterRows<T extends BatchPlanner.Member> {
  /** Of so many calls that could leave somebody out one does not, to see whether it still pays. */
  static final int TRIED_AGAIN = 25;

  /** Nobody is left out of calls that take less: there is nothing to gain. */
  private static final double SHORTEST_NANOS = 1e6;

  private final CallTimes times;

  /** Who was left out by the last call that could have had them. */
  private final Set<T> leftOut = Collections.newSetFromMap(new IdentityHashMap<>());

  private int chances;

  FasterRows(CallTimes times) {
    this.times = times;
  }

  /** Members are gone. */
  void forget(Collection<T> members) {
    leftOut.removeAll(members);
  }

  /**
   * Who makes a call.
   *
   * @param kind of calls that take as long if they have as many rows
   * @param batch who could share it, in order of service
   * @param rowsOf one of them in this call
   * @param stays who must not be left out
   * @return more than half of the rows, in the same order
   */
  List<T> of(Object kind, List<T> batch, ToIntFunction<T> rowsOf, Predicate<T> stays) {
    Set<T> out = slowing(kind, batch, rowsOf, stays);
    if (!out.isEmpty() && ++chances % TRIED_AGAIN == 0) {
      out = Set.of();
    }
    leftOut.removeAll(batch);
    leftOut.addAll(out);
    Set<T> without = out;
    return batch.stream().filter(member -> !without.contains(member)).toList();
  }

  private Set<T> slowing(Object kind, List<T> batch, ToIntFunction<T> rowsOf, Predicate<T> stays) {
    int rows = batch.stream().mapToInt(rowsOf).sum();
    double least = times.nanosEach(kind, rows);
    if (batch.size() < 2 || !Double.isFinite(least) || least * rows < SHORTEST_NANOS) {
      return Set.of();
    }
    List<T> last = new ArrayList<>(batch);
    Collections.reverse(last);
    last.removeIf(member -> leftOut.contains(member) || stays.test(member));
    last.sort(Comparator.comparingInt((T member) -> member.stepsLeft()).reversed());
    int left = rows;
    int chosen = 0;
    for (int out = 0; out < last.size(); out++) {
      left -= rowsOf.applyAsInt(last.get(out));
      if (2 * left <= rows) {
        break;
      }
      double each = times.nanosEach(kind, left);
      if (each < least) {
        least = each;
        chosen = out + 1;
      }
    }
    Set<T> out = Collections.newSetFromMap(new IdentityHashMap<>());
    out.addAll(last.subList(0, chosen));
    return out;
  }
}
