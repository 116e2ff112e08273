/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import java.time.Duration;
import java.util.Comparator;

/**
 * Ordering: priority, then deadline, then arrival, with aging.
 *
 * <p>Each request has a moment at which it is due: its deadline, but at the latest one {@link
 * BatchPolicy#agingPerPriority} after its arrival, which is also when a request without a deadline
 * is due. One level of priority moves that moment forward by the same time. The earliest goes
 * first.
 *
 * <ul>
 *   <li>Among requests of one priority, the earliest deadline goes first, and those without one go
 *       as they came.
 *   <li>Of requests that come together, a higher priority goes first whatever the deadlines.
 *   <li>Nothing starves: what comes later than a request is due cannot overtake it, but for its
 *       priority, and that is worth a bounded time.
 * </ul>
 *
 * Which of two requests is ahead never changes with time, so a request's place is one number that
 * is computed when it arrives.
 */
final class Ranking {
  static final Comparator<Ticket> FIRST_COME =
      Comparator.<Ticket>comparingLong(ticket -> ticket.rank)
          .thenComparingLong(ticket -> ticket.sequence);

  private final long agingMillis;

  Ranking(BatchPolicy policy) {
    // In milliseconds, so that even the largest priority times the longest head start fits a long.
    this.agingMillis = policy.agingPerPriority().toMillis();
  }

  /** Smaller is served first. */
  long rank(Submission how, long arrivalNanos) {
    long due =
        how.deadline()
            .map(Duration::toMillis)
            .filter(left -> left < agingMillis)
            .orElse(agingMillis);
    return arrivalNanos / 1_000_000 + due - how.priority() * agingMillis;
  }
}
