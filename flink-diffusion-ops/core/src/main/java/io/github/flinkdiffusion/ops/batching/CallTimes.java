/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/**
 * What a device call's time depends on: a fixed part and one for each row, fitted to the calls of
 * late by least squares. Until calls of several sizes were seen, each row is taken to cost the same
 * and the rest nothing, which is true of a processor and cautious on a GPU. Used by one thread.
 */
final class CallTimes {
  /** How much of what is known remains after another call: about the last 50 count. */
  private static final double KEPT = 0.98;

  private static final int MOST_KINDS = 300;

  private final Map<Object, Fit> fits = new HashMap<>();

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
  double fixedNanos(Object shape) {
    return fits.containsKey(shape) ? fits.get(shape).fixed() : 0;
  }

  /** Time of a call of so many rows; 0 while it is not known. */
  double nanos(Object shape, int rows) {
    Fit fit = fits.get(shape);
    return fit == null ? 0 : fit.fixed() + Math.max(0, fit.each()) * rows;
  }

  /** A call of some rows of a shape took so long. */
  void took(Object shape, int rows, long nanos) {
    if (fits.size() > MOST_KINDS) {
      fits.keySet().retainAll(Set.of(shape));
    }
    fits.computeIfAbsent(shape, key -> new Fit()).add(rows, nanos);
  }

  /**
   * @param stretch 1 or more
   * @return most rows of a call that takes at most so many times as long as one of these rows; at
   *     least these
   */
  int rowsWithin(Object shape, int rows, double stretch) {
    double fixed = fits.containsKey(shape) ? fits.get(shape).fixedPart() : 0;
    double most = stretch * (fixed + rows) - fixed;
    return Double.isFinite(most) ? (int) Math.max(rows, Math.min(most, 1 << 20)) : 1 << 20;
  }
}
