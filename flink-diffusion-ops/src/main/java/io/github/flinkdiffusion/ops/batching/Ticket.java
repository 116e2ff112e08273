package io.github.flinkdiffusion.ops.batching;

import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import java.util.Optional;

/**
 * One submitted request, as long as the batcher has it. Two submissions are two tickets, whatever
 * their ids.
 */
public final class Ticket {
  final BatchSession session;
  final RequestListener listener;
  final Submission how;
  final long submittedNanos;

  // From here on: guarded by the batcher's boundary lock.

  /** What was asked for, or what is left of it in another attempt. */
  Work work;

  /**
   * Position in the order of service, smaller first; see {@link Ranking}. Changes only while the
   * ticket is in no ordered set.
   */
  long rank;

  /** Breaks ties of {@link #rank} by arrival. */
  long sequence;

  /** Attempts that have failed. */
  private int failedAttempts;

  /** Null until the request is started. */
  Trajectory trajectory;

  /** True from a step after which a preview is wanted until the next call that makes previews. */
  boolean previewDue;

  /** True after a batch failed for a request in it that was not named: this one is tried alone. */
  boolean alone;

  Ticket(
      BatchSession session,
      RequestListener listener,
      Work work,
      Submission how,
      long rank,
      long sequence,
      long submittedNanos) {
    this.session = session;
    this.listener = listener;
    this.work = work;
    this.how = how;
    this.rank = rank;
    this.sequence = sequence;
    this.submittedNanos = submittedNanos;
  }

  /** What is being made. */
  public GenerationRequest request() {
    return work.request();
  }

  /** What would have to be submitted to go on from here. */
  Work rest() {
    return trajectory == null ? work : new Work.Resumed(trajectory.snapshot());
  }

  /** After a step of its trajectory. */
  void noteStep() {
    int every = how.previewEverySteps();
    if (every > 0 && trajectory.step() % every == 0 && !trajectory.done()) {
      previewDue = true;
    }
  }

  boolean hasRetriesLeft() {
    return failedAttempts < how.retries();
  }

  /** Back to the beginning, as if it had just come; the limits in time go on counting. */
  void startOver(long newRank, long newSequence) {
    failedAttempts++;
    work = new Work.Fresh(request());
    trajectory = null;
    previewDue = false;
    alone = false;
    rank = newRank;
    sequence = newSequence;
  }

  /** The limit in time that is over, if one is. */
  Optional<TimeLimit> expired(long nowNanos) {
    long age = nowNanos - submittedNanos;
    if (how.deadline().isPresent() && age >= how.deadline().get().toNanos()) {
      return Optional.of(TimeLimit.DEADLINE);
    }
    return how.timeout().filter(limit -> age >= limit.toNanos()).map(limit -> TimeLimit.TIMEOUT);
  }

  /** Who set a limit in time: the sender, or the job. */
  enum TimeLimit {
    DEADLINE,
    TIMEOUT
  }

  @Override
  public String toString() {
    return "Ticket[" + request().id() + "]";
  }
}
