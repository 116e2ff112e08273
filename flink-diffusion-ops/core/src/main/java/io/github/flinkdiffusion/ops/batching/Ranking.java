/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import java.time.Duration;
import java.util.Comparator;
import org.apache.flink.annotation.Internal;

/**
 * Ordering: priority, then deadline, then arrival, with aging.
 *
 * <p>Each request has a moment at which it is due: its deadline, but at the latest one {@link
 * BatchPolicy#agingPerPriority} after its arrival. A request without a deadline is due then, and
 * later by three times the time that its own steps take. One level of priority moves that moment
 * forward by one aging period. The earliest goes first.
 *
 * <ul>
 *   <li>Among requests of one priority, the earliest deadline goes first, and those without one go
 *       as they came, if they take equally long.
 *   <li>Short requests overtake long ones, but only long ones that came shortly before: who takes
 *       50 steps is overtaken by those of 4 that come within 138 steps after it. It waits a little
 *       longer, and they wait much less.
 *   <li>Of requests that come together, a higher priority goes first whatever the deadlines.
 *   <li>Nothing starves: what comes later than a request is due cannot overtake it, but for its
 *       priority, and that is worth a bounded time.
 * </ul>
 *
 * Which of two requests is ahead never changes with time, so a request's place is one number that
 * is computed when it arrives.
 */
@Internal
public final class Ranking {
  /**
   * How much later a request is due for its own length. More makes long ones wait longer, and short
   * ones hardly less.
   */
  private static final int LENGTHS = 3;

  static final Comparator<Ticket> FIRST_COME =
      Comparator.<Ticket>comparingLong(ticket -> ticket.rank)
          .thenComparingLong(ticket -> ticket.sequence);

  private final long agingMillis;

  public Ranking(BatchPolicy policy) {
    // In milliseconds, so that even the largest priority times the longest head start fits a long.
    this.agingMillis = policy.agingPerPriority().toMillis();
  }

  /**
   * Smaller is served first.
   *
   * @param ownNanos time that its steps take, as far as is known
   */
  public long rank(Submission how, long arrivalNanos, double ownNanos) {
    // At most what a priority is worth.
    long later = (long) Math.min(LENGTHS * ownNanos / 1_000_000, agingMillis);
    long due =
        how.deadline()
            .map(Duration::toMillis)
            .filter(left -> left < agingMillis)
            .orElse(agingMillis + later);
    return arrivalNanos / 1_000_000 + due - how.priority() * agingMillis;
  }
}
