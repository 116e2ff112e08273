package io.github.flinkdiffusion.ops.batching;

import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import java.util.OptionalLong;

/**
 * One submitted request, as long as the batcher has it. Two submissions are two tickets, whatever
 * their ids.
 */
public final class Ticket {
  final BatchSession session;
  final RequestListener listener;
  final Work work;

  /** Position in the order of service, smaller first; see {@link Ranking}. */
  final long rank;

  /** Breaks ties of {@link #rank} by arrival. */
  final long sequence;

  final long submittedNanos;
  final OptionalLong deadlineNanos;

  // From here on: guarded by the batcher's boundary lock.

  /** Null until the request is started. */
  Trajectory trajectory;

  /** True after a batch failed for a request in it that was not named: this one is tried alone. */
  boolean alone;

  Ticket(
      BatchSession session,
      RequestListener listener,
      Work work,
      long rank,
      long sequence,
      long submittedNanos,
      OptionalLong deadlineNanos) {
    this.session = session;
    this.listener = listener;
    this.work = work;
    this.rank = rank;
    this.sequence = sequence;
    this.submittedNanos = submittedNanos;
    this.deadlineNanos = deadlineNanos;
  }

  /** What is being made. */
  public GenerationRequest request() {
    return work.request();
  }

  /** What would have to be submitted to go on from here. */
  Work rest() {
    return trajectory == null ? work : new Work.Resumed(trajectory.snapshot());
  }

  boolean isExpired(long nowNanos) {
    return deadlineNanos.isPresent() && nowNanos - deadlineNanos.getAsLong() >= 0;
  }

  @Override
  public String toString() {
    return "Ticket[" + request().id() + "]";
  }
}
