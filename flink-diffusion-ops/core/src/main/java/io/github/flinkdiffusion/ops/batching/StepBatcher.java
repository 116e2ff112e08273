/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static io.github.flinkdiffusion.ops.batching.CallReport.Stage.DECODE;
import static io.github.flinkdiffusion.ops.batching.CallReport.Stage.ENCODE;
import static io.github.flinkdiffusion.ops.batching.CallReport.Stage.STEP;

import io.github.flinkdiffusion.ops.batching.RequestFailure.Kind;
import io.github.flinkdiffusion.ops.engine.DeviceMemoryException;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Model;
import io.github.flinkdiffusion.ops.pipeline.NotFiniteException;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;
import org.apache.flink.annotation.Internal;

/**
 * Step-level batching on one device: before every call it is decided anew who takes part.
 *
 * <p>The loop, {@link #runOnce}, makes one device call at a time and is run by one thread. Between
 * two calls (the <em>boundary</em>) requests join, leave and expire; which call is next, {@link
 * BatchPlanner} decides.
 *
 * <p>Nobody waits for a call: other threads leave word for the next boundary, and read at any time
 * what is left of a request, {@link Ticket#rest}. No lock is held while the device works.
 *
 * <p>Errors are kept as small as they are. A request that the model refuses or whose numbers are no
 * longer finite fails alone. A call that does not fit into memory is halved, tried again, and the
 * limit is remembered; a request that does not fit alone fails alone. The last two kinds are begun
 * anew first, as often as the submission allows. Every other error ends the batcher for all
 * sessions.
 */
@Internal
public final class StepBatcher implements AutoCloseable {
  private final DiffusionPipeline pipeline;
  private final Ticker ticker;
  private final int rowLimit;
  private final Ranking ranking;

  /**
   * What happens at the next boundary: hand-overs from other threads, who never wait for a call.
   */
  private final Queue<Runnable> inbox = new ConcurrentLinkedQueue<>();

  private final Semaphore news = new Semaphore(0);
  private final AtomicLong sequence = new AtomicLong();
  private final Set<BatchSession> sessions = ConcurrentHashMap.newKeySet();
  private volatile BatchingException failure;
  private volatile boolean closed;

  /** Of the device's thread. */
  private final BatchPlanner<Ticket> planner;

  /** Who takes part in the current call, or in the one that failed for good. */
  private List<Ticket> inCall = List.of();

  /**
   * @param pipeline opened; stays the caller's, who closes it after this
   */
  public StepBatcher(DiffusionPipeline pipeline, BatchPolicy policy, Ticker ticker) {
    this.pipeline = pipeline;
    this.ticker = ticker;
    this.rowLimit = policy.rowLimit();
    this.ranking = new Ranking(policy);
    this.planner = new BatchPlanner<>(policy, Ranking.FIRST_COME);
  }

  // ------------------------------------------------------------------ for callers, any thread

  /** What requests run on. */
  public Model model() {
    return pipeline.model();
  }

  /**
   * Begins a caller's share.
   *
   * @throws BatchingException when the device has failed or is closed
   */
  public BatchSession join(SessionListener listener) {
    BatchSession session = new BatchSession(this, listener);
    sessions.add(session);
    try {
      requireWorking();
    } catch (BatchingException e) {
      sessions.remove(session);
      throw e;
    }
    return session;
  }

  /** Most rows that a network call may have; memory may have taught a lower limit since. */
  public int rowLimit() {
    return rowLimit;
  }

  /** True when a call has failed for good: nothing will be done here any more. */
  public boolean hasFailed() {
    return failure != null;
  }

  Ticket submit(BatchSession session, Work work, Submission how, RequestListener listener) {
    requireWorking();
    if (session.isClosed()) {
      throw new BatchingException(
          "Request " + work.request().id() + " was submitted to a session that is closed.");
    }
    if (work instanceof Work.Resumed resumed) {
      List<String> differences = model().differencesFrom(resumed.snapshot());
      if (!differences.isEmpty()) {
        throw new IllegalArgumentException(
            ("Request %s cannot continue on model %s, because its earlier steps were computed"
                    + " differently: %s. Submit it as a new request.")
                .formatted(
                    work.request().id(), model().info().name(), String.join(", ", differences)));
      }
    }
    Ticket ticket =
        new Ticket(session, listener, work, how, sequence.getAndIncrement(), ticker.nanos());
    tell(
        () -> {
          if (!session.isClosed()) {
            rank(ticket, ticket.submittedNanos);
            planner.add(ticket);
          }
        });
    return ticket;
  }

  void cancel(Ticket ticket) {
    tell(
        () -> {
          if (planner.contains(ticket)) {
            fail(
                ticket,
                Kind.CANCELLED,
                "Request " + ticket.request().id() + " was cancelled before it was finished.");
          }
        });
  }

  void leave(BatchSession session) {
    sessions.remove(session);
    tell(
        () ->
            planner.members().stream()
                .filter(ticket -> ticket.session == session)
                .forEach(this::drop));
  }

  /**
   * Ends the work after the current call, without telling listeners; {@link #runUntilClosed}
   * returns. Does not wait. Idempotent.
   */
  @Override
  public void close() {
    closed = true;
    news.release();
  }

  // ------------------------------------------------------------------ for the device's thread

  /** Works until {@link #close} or until the device fails; sleeps while there is nothing to do. */
  void runUntilClosed() throws InterruptedException {
    while (!closed && failure == null) {
      if (!runOnce()) {
        news.acquire();
        news.drainPermits();
      }
    }
  }

  /**
   * Goes to the next boundary and makes at most one device call.
   *
   * @return false when there was nothing to do
   */
  public boolean runOnce() {
    if (closed || failure != null) {
      return false;
    }
    try {
      drainInbox();
      expire();
      return makeNextCall();
    } catch (Throwable e) { // whatever it is: the device's state is unknown, and callers must know
      failAll(e);
      return false;
    }
  }

  private boolean makeNextCall() {
    Optional<BatchPlanner.Call<Ticket>> next = planner.next();
    if (next.isEmpty()) {
      return false;
    }
    BatchPlanner.Call<Ticket> call = next.get();
    switch (call.stage()) {
      case ENCODE -> encode(call);
      case STEP -> step(call);
      case DECODE -> decode(call);
      case PREVIEW -> preview(call);
    }
    return true;
  }

  private void encode(BatchPlanner.Call<Ticket> call) {
    List<Ticket> batch = call.batch();
    List<Trajectory> started =
        make(
            call,
            () ->
                batch.get(0).resumes()
                    ? pipeline.restore(snapshots(batch))
                    : pipeline.start(requests(batch)));
    if (started == null) {
      return;
    }
    long now = ticker.nanos();
    for (int i = 0; i < batch.size(); i++) {
      Ticket ticket = batch.get(i);
      ticket.started(started.get(i));
      planner.moved(ticket, ENCODE, !ticket.trajectory().done());
      if (!ticket.session.isClosed()) {
        ticket.listener.onStarted(Duration.ofNanos(now - ticket.submittedNanos));
      }
    }
  }

  private void step(BatchPlanner.Call<Ticket> call) {
    List<Trajectory> trajectories = trajectories(call.batch());
    Object done =
        make(
            call,
            () -> {
              pipeline.step(trajectories);
              return trajectories;
            });
    if (done == null) {
      return;
    }
    for (Ticket ticket : call.batch()) {
      Trajectory trajectory = ticket.trajectory();
      ticket.stepped();
      planner.moved(ticket, STEP, !trajectory.done());
      if (!ticket.session.isClosed()) {
        ticket.listener.onStep(trajectory.step(), trajectory.totalSteps());
      }
    }
  }

  private void decode(BatchPlanner.Call<Ticket> call) {
    List<Ticket> batch = call.batch();
    List<GeneratedImage> images = make(call, () -> pipeline.finish(trajectories(batch)));
    if (images == null) {
      return;
    }
    for (int i = 0; i < batch.size(); i++) {
      Ticket ticket = batch.get(i);
      planner.moved(ticket, DECODE, false);
      ticket.decoded();
      if (!ticket.session.isClosed()) {
        ticket.listener.onFinished(images.get(i));
      }
    }
  }

  /** Nobody fails for want of a preview: one that cannot be made is left out. */
  private void preview(BatchPlanner.Call<Ticket> call) {
    List<Ticket> batch = call.batch();
    batch.forEach(ticket -> ticket.previewDue = false);
    List<Raster> previews = make(call, () -> pipeline.preview(trajectories(batch)));
    if (previews == null) {
      return;
    }
    for (int i = 0; i < previews.size(); i++) {
      Ticket ticket = batch.get(i);
      if (!ticket.session.isClosed()) {
        ticket.listener.onPreview(
            ticket.trajectory().step(), ticket.trajectory().totalSteps(), previews.get(i));
      }
    }
  }

  /**
   * One device call with the errors that concern single requests taken out of it.
   *
   * @return the call's result, or null when it failed: the tickets are then as they were, less
   *     those that failed for good, and the next boundary tries again with other ones
   */
  private <T> T make(BatchPlanner.Call<Ticket> call, Supplier<T> device) {
    List<Ticket> batch = call.batch();
    long begin = ticker.nanos();
    T result = null;
    RuntimeException error = null;
    inCall = batch;
    try {
      result = device.get();
    } catch (InvalidRequestException | NotFiniteException | DeviceMemoryException e) {
      error = e;
    }
    Duration elapsed = Duration.ofNanos(ticker.nanos() - begin);
    share(call, elapsed);
    if (error == null) {
      planner.took(call, elapsed.toNanos());
    } else {
      RuntimeException cause = error;
      planner.failed(call, cause).ifPresent(blame -> blame(blame, cause));
    }
    report(
        batch,
        new CallReport(
            call.stage(),
            batch.size(),
            call.rows(),
            error instanceof DeviceMemoryException,
            elapsed));
    inCall = List.of();
    return result;
  }

  /** Tells each request its part of a call's time, whose sum is the call's time. */
  private void share(BatchPlanner.Call<Ticket> call, Duration elapsed) {
    long nanosLeft = elapsed.toNanos();
    int rowsLeft = call.rows();
    for (Ticket ticket : call.batch()) {
      int rows = call.stage() == STEP ? ticket.rows() : 1;
      long nanos = nanosLeft * rows / rowsLeft;
      nanosLeft -= nanos;
      rowsLeft -= rows;
      if (!ticket.session.isClosed()) {
        ticket.listener.onDeviceTime(Duration.ofNanos(nanos));
      }
    }
  }

  private void blame(BatchPlanner.Blame<Ticket> blame, RuntimeException e) {
    for (Ticket ticket : blame.members()) {
      String message =
          e instanceof DeviceMemoryException tooLarge
              ? FailureTexts.tooLarge(ticket, tooLarge)
              : e.getMessage();
      if (blame.again() && ticket.hasRetriesLeft()) {
        beginAnew(ticket, blame.kind(), message);
      } else {
        fail(ticket, blame.kind(), message);
      }
    }
  }

  private void expire() {
    long now = ticker.nanos();
    for (Ticket ticket : planner.members()) {
      ticket
          .expired(now)
          .ifPresent(limit -> fail(ticket, Kind.TIMEOUT, FailureTexts.tooLate(ticket, limit)));
    }
  }

  /** Behind those that wait. */
  private void beginAnew(Ticket ticket, Kind kind, String message) {
    drop(ticket);
    ticket.startOver(sequence.getAndIncrement());
    rank(ticket, ticker.nanos());
    planner.add(ticket);
    if (!ticket.session.isClosed()) {
      ticket.listener.onRetry(new RequestFailure(kind, message));
    }
  }

  private void rank(Ticket ticket, long sinceNanos) {
    ticket.rank =
        ranking.rank(ticket.how, sinceNanos, planner.stepNanos() * ticket.rest().stepsLeft());
  }

  private void drop(Ticket ticket) {
    planner.remove(ticket);
    ticket.closeTrajectory();
  }

  private void fail(Ticket ticket, Kind kind, String message) {
    drop(ticket);
    if (!ticket.session.isClosed()) {
      ticket.listener.onFailed(new RequestFailure(kind, message));
    }
  }

  private void failAll(Throwable cause) {
    BatchingException e =
        new BatchingException(
            "A call to the device failed for good; model " + model().info().name() + ": " + cause,
            cause);
    failure = e;
    planner.clear();
    inbox.clear();
    for (Ticket ticket : inCall) {
      try {
        if (!ticket.session.isClosed()) {
          ticket.listener.onSuspected(inCall.size());
        }
      } catch (RuntimeException broken) {
        e.addSuppressed(broken);
      }
    }
    inCall = List.of();
    for (BatchSession session : sessions) {
      try {
        session.listener().onDeviceFailed(e);
      } catch (RuntimeException broken) { // the other sessions must hear of it all the same
        e.addSuppressed(broken);
      }
    }
    sessions.clear();
  }

  private void report(List<Ticket> batch, CallReport report) {
    Set<BatchSession> told = new HashSet<>();
    for (Ticket ticket : batch) {
      if (told.add(ticket.session) && !ticket.session.isClosed()) {
        ticket.session.listener().onCall(report);
      }
    }
  }

  private void tell(Runnable atBoundary) {
    inbox.add(atBoundary);
    news.release();
  }

  private void drainInbox() {
    for (Runnable next = inbox.poll(); next != null; next = inbox.poll()) {
      next.run();
    }
  }

  private void requireWorking() {
    if (failure != null) {
      throw new BatchingException(failure.getMessage(), failure);
    }
    if (closed) {
      throw new BatchingException("The device is closed; model " + model().info().name() + ".");
    }
  }

  private static List<GenerationRequest> requests(List<Ticket> batch) {
    return batch.stream().map(Ticket::request).toList();
  }

  private static List<TrajectorySnapshot> snapshots(List<Ticket> batch) {
    return batch.stream().map(ticket -> ((Work.Resumed) ticket.rest()).snapshot()).toList();
  }

  private static List<Trajectory> trajectories(List<Ticket> batch) {
    return batch.stream().map(ticket -> ticket.trajectory()).toList();
  }
}
