/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * One submitted request. Two submissions are two tickets, whatever their ids. {@link #rest} is for
 * any thread at any time; the remainder belongs to the device's thread.
 */
@Internal
public final class Ticket implements BatchPlanner.Member {
  final BatchSession session;
  final RequestListener listener;
  final Submission how;
  final long submittedNanos;

  /** Replaced, by the device's thread, when a call has succeeded; its values never change. */
  private volatile Work rest;

  // From here on: of the device's thread, once the ticket was handed to it.

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
  private Trajectory trajectory;

  /** True from a step after which a preview is wanted until the next call that makes previews. */
  boolean previewDue;

  Ticket(
      BatchSession session,
      RequestListener listener,
      Work work,
      Submission how,
      long sequence,
      long submittedNanos) {
    this.session = session;
    this.listener = listener;
    this.rest = work;
    this.how = how;
    this.sequence = sequence;
    this.submittedNanos = submittedNanos;
  }

  /** What is being made. */
  public GenerationRequest request() {
    return rest.request();
  }

  /**
   * What would have to be submitted to go on from here. Never waits: while a call runs it is what
   * was left before that call. After the last step only decoding is left, and that stays so when
   * the ticket has left the batcher, since the picture may still be on its way to safety.
   */
  public Work rest() {
    return rest;
  }

  @Override
  public Object batchKey() {
    return trajectory.batchKey();
  }

  @Override
  public int rows() {
    return trajectory.rows();
  }

  @Override
  public Tenant tenant() {
    return how.tenant();
  }

  /** Numbers that the network sees, which is what its time grows with. */
  @Override
  public double cost() {
    return (double) trajectory.rows() * ((Work.Resumed) rest).snapshot().sample().length;
  }

  @Override
  public int stepsLeft() {
    return trajectory.totalSteps() - trajectory.step();
  }

  @Override
  public boolean resumes() {
    return rest instanceof Work.Resumed;
  }

  @Override
  public boolean urgent() {
    return how.priority() > 0 || how.deadline().isPresent();
  }

  @Override
  public boolean previewDue() {
    return previewDue;
  }

  /** Null until the request is started. */
  Trajectory trajectory() {
    return trajectory;
  }

  /** The device has begun it, or taken it up again. */
  void started(Trajectory begun) {
    rest = new Work.Resumed(begun.snapshot());
    trajectory = begun;
  }

  /** The device has moved its trajectory on. */
  void stepped() {
    rest = new Work.Resumed(trajectory.snapshot());
    int every = how.previewEverySteps();
    if (every > 0 && trajectory.step() % every == 0 && !trajectory.done()) {
      previewDue = true;
    }
  }

  /** It is not moved on any more; frees what it has on the device. */
  void closeTrajectory() {
    if (trajectory != null) {
      trajectory.close();
    }
  }

  /** The device has decoded it; only what is saved is kept. */
  void decoded() {
    trajectory = null;
  }

  boolean hasRetriesLeft() {
    return failedAttempts < how.retries();
  }

  /** Back to the beginning, as if it had just come; the limits in time go on counting. */
  void startOver(long newSequence) {
    failedAttempts++;
    rest = new Work.Fresh(request());
    trajectory = null;
    previewDue = false;
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
