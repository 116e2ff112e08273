/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/**
 * What is known of the times of device calls, from the calls of late, for each kind of them.
 *
 * <ul>
 *   <li>What a call's time depends on: a fixed part and one for each row, fitted by least squares.
 *       Until calls of several sizes were seen, each row is taken to cost the same and the rest
 *       nothing, which is true of a processor and cautious on a GPU.
 *   <li>What a row takes in calls of exactly so many rows, for a device may compute some numbers of
 *       rows faster than others, which no line shows.
 * </ul>
 *
 * <p>Used by one thread.
 */
final class CallTimes {
  /** How much of what is known remains after another call: about the last 50 count. */
  private static final double KEPT = 0.98;

  private static final int MOST_KINDS = 300;

  /** Calls with a number of rows before their mean is believed. */
  static final int CALLS_NEEDED = 3;

  /** How much of a mean remains after another call of as many rows. */
  private static final double MEAN_KEPT = 0.9;

  /** Beyond so many means, those of other kinds of calls are forgotten. */
  private static final int MOST_MEANS = 1000;

  private final Map<Object, Fit> fits = new HashMap<>();
  private final Map<Calls, Mean> means = new HashMap<>();

  private record Calls(Object kind, int rows) {}

  /**
   * @param calls that it was learned from, as far as they matter
   */
  private record Mean(double nanos, int calls) {
    Mean and(long another) {
      // A plain mean at first: the first call is a slow one and must not count for long.
      double kept = Math.min(MEAN_KEPT, calls / (calls + 1.0));
      return new Mean(kept * nanos + (1 - kept) * another, Math.min(calls + 1, CALLS_NEEDED));
    }
  }

  private static final class Fit {
    double calls;
    double rows;
    double rowsSquared;
    double nanos;
    double rowsNanos;

    void add(int ofRows, long took) {
      calls = calls * KEPT + 1;
      rows = rows * KEPT + ofRows;
      rowsSquared = rowsSquared * KEPT + (double) ofRows * ofRows;
      nanos = nanos * KEPT + took;
      rowsNanos = rowsNanos * KEPT + (double) ofRows * took;
    }

    /** Time of one more row. */
    double each() {
      double spread = rowsSquared / calls - rows / calls * (rows / calls);
      return spread < 0.01
          ? nanos / rows
          : (rowsNanos / calls - rows / calls * (nanos / calls)) / spread;
    }

    /** Time of no rows. */
    double fixed() {
      return Math.max(0, nanos / calls - each() * rows / calls);
    }

    /** Time of no rows over that of one more. */
    double fixedPart() {
      double fixed = fixed();
      return fixed <= 1e-9 * nanos ? 0 : each() <= 0 ? Double.POSITIVE_INFINITY : fixed / each();
    }
  }

  /** Time of a call apart from its rows; 0 while it is not known. */
  double fixedNanos(Object kind) {
    return fits.containsKey(kind) ? fits.get(kind).fixed() : 0;
  }

  /** Time of a call of so many rows; 0 while it is not known. */
  double nanos(Object kind, int rows) {
    Fit fit = fits.get(kind);
    return fit == null ? 0 : fit.fixed() + Math.max(0, fit.each()) * rows;
  }

  /** Mean time of a row in calls of exactly so many rows; infinite while it is not known. */
  double nanosEach(Object kind, int rows) {
    Mean mean = means.get(new Calls(kind, rows));
    return mean == null || mean.calls() < CALLS_NEEDED
        ? Double.POSITIVE_INFINITY
        : mean.nanos() / rows;
  }

  /** A call of some rows took so long. */
  void took(Object kind, int rows, long nanos) {
    if (fits.size() > MOST_KINDS) {
      fits.keySet().retainAll(Set.of(kind));
    }
    fits.computeIfAbsent(kind, key -> new Fit()).add(rows, nanos);
    if (means.size() > MOST_MEANS) {
      means.keySet().removeIf(calls -> !calls.kind().equals(kind));
    }
    means.merge(new Calls(kind, rows), new Mean(nanos, 1), (known, one) -> known.and(nanos));
  }

  /**
   * @param stretch 1 or more
   * @return most rows of a call that takes at most so many times as long as one of these rows; at
   *     least these
   */
  int rowsWithin(Object kind, int rows, double stretch) {
    double fixed = fits.containsKey(kind) ? fits.get(kind).fixedPart() : 0;
    double most = stretch * (fixed + rows) - fixed;
    return Double.isFinite(most) ? (int) Math.max(rows, Math.min(most, 1 << 20)) : 1 << 20;
  }
}
