/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import static org.apache.flink.util.TimeUtils.formatWithHighestUnit;

import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/**
 * Answers a row or a call before Flink's own time limit fails the job.
 *
 * <p>Flink counts from the moment at which it hands a row over, so the wait for a free device
 * counts too, and it fails the job whatever {@code on-error} says. The limit here is a tenth below
 * Flink's, at most {@link #MOST_AHEAD}: the answer is in the task's mailbox before Flink's timer
 * is. One thread does no more than complete futures.
 */
final class TimeLimit implements AutoCloseable {
  static final Duration MOST_AHEAD = Duration.ofSeconds(2);
  private static final int PART_AHEAD = 10;

  private final Duration flinks;
  private final String option;
  private final ScheduledThreadPoolExecutor clock;

  /**
   * @param flinks Flink's limit
   * @param option that sets it, for messages
   * @param user of the limit, for the thread's name
   */
  TimeLimit(Duration flinks, String option, String user) {
    this.flinks = flinks;
    this.option = option;
    this.clock =
        new ScheduledThreadPoolExecutor(
            1,
            task -> {
              Thread thread = new Thread(task, "diffusion-sql-" + user + "-limit");
              thread.setDaemon(true);
              return thread;
            });
    // Else each answered row would keep its place until its time had come.
    clock.setRemoveOnCancelPolicy(true);
  }

  /** How long a row may take; zero or less is no limit, as for Flink. */
  static Duration within(Duration flinks) {
    Duration ahead = flinks.dividedBy(PART_AHEAD);
    return flinks.minus(ahead.compareTo(MOST_AHEAD) > 0 ? MOST_AHEAD : ahead);
  }

  /** Fails the work with a {@link RowTimeoutException} unless it is done in time. */
  <T> CompletableFuture<T> guard(CompletableFuture<T> work) {
    Duration limit = within(flinks);
    if (limit.isZero() || limit.isNegative()) {
      return work;
    }
    ScheduledFuture<?> alarm =
        clock.schedule(
            () -> work.completeExceptionally(late(limit)), limit.toMillis(), TimeUnit.MILLISECONDS);
    work.whenComplete((done, failed) -> alarm.cancel(false));
    return work;
  }

  private RowTimeoutException late(Duration limit) {
    return new RowTimeoutException(
        ("No result after %s. Flink would fail the job after %s (%s), counted from when it hands"
                + " over the row, time in the queue included. Raise %s, or lower"
                + " 'max-concurrent-operations' or the number of steps.")
            .formatted(
                formatWithHighestUnit(Duration.ofMillis(limit.toMillis())),
                formatWithHighestUnit(flinks),
                option,
                option));
  }

  @Override
  public void close() {
    clock.shutdownNow();
  }
}
