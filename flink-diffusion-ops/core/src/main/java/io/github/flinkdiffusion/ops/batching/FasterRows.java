/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
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
 * <p>It learns the time of each number of rows from the calls that were made. A number that was
 * hardly tried is not chosen, and what is avoided is tried again now and then. Used by one thread.
 *
 * @param <T> what takes part in calls; told apart by identity
 */
final class FasterRows<T extends BatchPlanner.Member> {
  /** Calls with a number of rows before their time is believed. */
  static final int CALLS_NEEDED = 3;

  /** Of so many calls that could leave somebody out one does not, to see whether it still pays. */
  static final int TRIED_AGAIN = 25;

  /** Nobody is left out of calls that take less: there is nothing to gain. */
  private static final double SHORTEST_NANOS = 1e6;

  /** How much of a known time remains after another call. */
  private static final double KEPT = 0.9;

  /** Beyond so many known times, those of other kinds of calls are forgotten. */
  private static final int MOST_TIMES = 1000;

  private record Calls(Object kind, int rows) {}

  /**
   * @param calls that it was learnt from, as far as they matter
   */
  private record Time(double nanos, int calls) {
    Time and(long another) {
      // A plain mean at first: the first call is a slow one and must not count for long.
      double kept = Math.min(KEPT, calls / (calls + 1.0));
      return new Time(kept * nanos + (1 - kept) * another, Math.min(calls + 1, CALLS_NEEDED));
    }
  }

  private final Map<Calls, Time> times = new HashMap<>();

  /** Who was left out by the last call that could have had them. */
  private final Set<T> leftOut = Collections.newSetFromMap(new IdentityHashMap<>());

  private int chances;

  /** A call took so long. */
  void took(Object kind, int rows, long nanos) {
    if (times.size() > MOST_TIMES) {
      times.keySet().removeIf(calls -> !calls.kind().equals(kind));
    }
    Calls calls = new Calls(kind, rows);
    times.merge(calls, new Time(nanos, 1), (known, one) -> known.and(nanos));
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
    double least = nanosEach(kind, rows);
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
      double each = nanosEach(kind, left);
      if (each < least) {
        least = each;
        chosen = out + 1;
      }
    }
    Set<T> out = Collections.newSetFromMap(new IdentityHashMap<>());
    out.addAll(last.subList(0, chosen));
    return out;
  }

  /** Time of a row in a call; infinite while it is not known. */
  private double nanosEach(Object kind, int rows) {
    Time time = times.get(new Calls(kind, rows));
    return time == null || time.calls() < CALLS_NEEDED
        ? Double.POSITIVE_INFINITY
        : time.nanos() / rows;
  }
}
