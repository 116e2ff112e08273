package io.github.flinkdiffusion.ops.batching;

import java.util.Comparator;

/**
 * Ordering: priority, then arrival, with aging.
 *
 * <p>A waiting request gains one level of priority for each {@link BatchPolicy#agingPerPriority}
 * that it waits. Which of two requests is ahead then never changes with time (both age alike), so a
 * request's place is one number that is computed when it arrives: its arrival, moved back by its
 * priority's head start.
 */
final class Ranking {
  static final Comparator<Ticket> FIRST_COME =
      Comparator.<Ticket>comparingLong(ticket -> ticket.rank)
          .thenComparingLong(ticket -> ticket.sequence);

  private final long headStartMillis;

  Ranking(BatchPolicy policy) {
    // In milliseconds, so that even the largest priority times the longest head start fits a long.
    this.headStartMillis = policy.agingPerPriority().toMillis();
  }

  /** Smaller is served first. */
  long rank(int priority, long arrivalNanos) {
    return arrivalNanos / 1_000_000 - priority * headStartMillis;
  }
}
