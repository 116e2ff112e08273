package io.github.flinkdiffusion.ops.batching;

import static io.github.flinkdiffusion.ops.batching.CallReport.Stage.DECODE;
import static io.github.flinkdiffusion.ops.batching.CallReport.Stage.ENCODE;
import static io.github.flinkdiffusion.ops.batching.CallReport.Stage.PREVIEW;
import static io.github.flinkdiffusion.ops.batching.CallReport.Stage.STEP;

import io.github.flinkdiffusion.ops.batching.CallReport.Stage;
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
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.NavigableSet;
import java.util.Queue;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.function.ToIntFunction;

/**
 * Step-level batching on one device: before every call it is decided anew who takes part.
 *
 * <p>The loop, {@link #runOnce}, makes one device call at a time and is run by one thread. Between
 * two calls (the <em>boundary</em>) requests join, leave and expire. Encoding and decoding are
 * calls of their own and alternate with steps, so running trajectories wait for one such call at
 * most. So do previews, for which there is time when nothing else waits.
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
public final class StepBatcher implements AutoCloseable {
  private static final Object ANY_SHAPE = "any";

  private final DiffusionPipeline pipeline;
  private final Ticker ticker;
  private final int rowLimit;
  private final Ranking ranking;
  private final Admission admission;
  private final CallLimits limits;
  private final FairTurns turns = new FairTurns();

  /**
   * What happens at the next boundary: hand-overs from other threads, who never wait for a call.
   */
  private final Queue<Runnable> inbox = new ConcurrentLinkedQueue<>();

  private final Semaphore news = new Semaphore(0);
  private final AtomicLong sequence = new AtomicLong();
  private final Set<BatchSession> sessions = ConcurrentHashMap.newKeySet();
  private volatile BatchingException failure;
  private volatile boolean closed;

  // Of the device's thread; each ticket is in exactly one of the three.
  private final NavigableSet<Ticket> waiting = new TreeSet<>(Ranking.FIRST_COME);
  private final NavigableSet<Ticket> running = new TreeSet<>(Ranking.FIRST_COME);
  private final NavigableSet<Ticket> denoised = new TreeSet<>(Ranking.FIRST_COME);
  private Stage lastStage = DECODE;

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
    this.admission = new Admission(policy);
    this.limits = new CallLimits(policy);
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
      List<String> differences = model().info().basis().differencesFrom(resumed.snapshot().basis());
      if (!differences.isEmpty()) {
        throw new IllegalArgumentException(
            "Request %s cannot go on on model %s, because its steps were made otherwise: %s; submit it as a fresh request."
                .formatted(
                    work.request().id(), model().info().name(), String.join(", ", differences)));
      }
    }
    long now = ticker.nanos();
    Ticket ticket =
        new Ticket(
            session, listener, work, how, ranking.rank(how, now), sequence.getAndIncrement(), now);
    tell(
        () -> {
          if (!session.isClosed()) {
            waiting.add(ticket);
          }
        });
    return ticket;
  }

  void cancel(Ticket ticket) {
    tell(
        () -> {
          if (isHere(ticket)) {
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
        () -> {
          for (NavigableSet<Ticket> tickets : List.of(waiting, running, denoised)) {
            tickets.removeIf(ticket -> ticket.session == session);
          }
        });
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
    if (!running.isEmpty() && lastStage != STEP) {
      step();
      return true;
    }
    if (!denoised.isEmpty()) {
      decode();
      return true;
    }
    int admitted = admission.admit(waiting.size(), rows(running), shapes(running).size());
    if (admitted > 0) {
      encode(admitted);
      return true;
    }
    if (running.stream().anyMatch(ticket -> ticket.previewDue)) {
      preview();
      return true;
    }
    if (!running.isEmpty()) {
      step();
      return true;
    }
    return false;
  }

  private void encode(int admitted) {
    boolean resumed = waiting.first().rest() instanceof Work.Resumed;
    int limit = Math.min(admitted, limits.of(ENCODE, ANY_SHAPE));
    List<Ticket> batch =
        choose(waiting, ticket -> ticket.rest() instanceof Work.Resumed == resumed, t -> 1, limit);
    List<Trajectory> started =
        call(
            ENCODE,
            ANY_SHAPE,
            batch,
            () -> resumed ? pipeline.restore(snapshots(batch)) : pipeline.start(requests(batch)));
    if (started == null) {
      return;
    }
    long now = ticker.nanos();
    for (int i = 0; i < batch.size(); i++) {
      Ticket ticket = batch.get(i);
      waiting.remove(ticket);
      ticket.started(started.get(i));
      (ticket.trajectory().done() ? denoised : running).add(ticket);
      if (!ticket.session.isClosed()) {
        ticket.listener.onStarted(Duration.ofNanos(now - ticket.submittedNanos));
      }
    }
  }

  private void step() {
    Object key = turns.next(shapes(running));
    List<Ticket> batch =
        choose(
            running,
            ticket -> ticket.trajectory().batchKey().equals(key),
            ticket -> ticket.trajectory().rows(),
            limits.of(STEP, key));
    List<Trajectory> trajectories = trajectories(batch);
    Object done =
        call(
            STEP,
            key,
            batch,
            () -> {
              pipeline.step(trajectories);
              return trajectories;
            });
    if (done == null) {
      return;
    }
    for (Ticket ticket : batch) {
      Trajectory trajectory = ticket.trajectory();
      ticket.stepped();
      if (trajectory.done()) {
        running.remove(ticket);
        denoised.add(ticket);
      }
      if (!ticket.session.isClosed()) {
        ticket.listener.onStep(trajectory.step(), trajectory.totalSteps());
      }
    }
  }

  private void decode() {
    Object key = denoised.first().trajectory().batchKey();
    List<Ticket> batch =
        choose(
            denoised,
            ticket -> ticket.trajectory().batchKey().equals(key),
            ticket -> 1,
            limits.of(DECODE, key));
    List<GeneratedImage> images =
        call(DECODE, key, batch, () -> pipeline.finish(trajectories(batch)));
    if (images == null) {
      return;
    }
    for (int i = 0; i < batch.size(); i++) {
      Ticket ticket = batch.get(i);
      denoised.remove(ticket);
      ticket.decoded();
      if (!ticket.session.isClosed()) {
        ticket.listener.onFinished(images.get(i));
      }
    }
  }

  /** Nobody fails for want of a preview: one that can not be made is left out. */
  private void preview() {
    lastStage = PREVIEW;
    Object key =
        running.stream()
            .filter(ticket -> ticket.previewDue)
            .findFirst()
            .orElseThrow()
            .trajectory()
            .batchKey();
    List<Ticket> batch =
        choose(
            running,
            ticket -> ticket.previewDue && ticket.trajectory().batchKey().equals(key),
            ticket -> 1,
            limits.of(PREVIEW, key));
    batch.forEach(ticket -> ticket.previewDue = false);
    long begin = ticker.nanos();
    List<Raster> previews = List.of();
    boolean outOfMemory = false;
    inCall = batch;
    try {
      previews = pipeline.preview(trajectories(batch));
    } catch (DeviceMemoryException e) {
      outOfMemory = true;
      limits.halve(PREVIEW, key, batch.size());
    }
    report(
        batch,
        new CallReport(
            PREVIEW,
            batch.size(),
            batch.size(),
            outOfMemory,
            Duration.ofNanos(ticker.nanos() - begin)));
    inCall = List.of();
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
  private <T> T call(Stage stage, Object key, List<Ticket> batch, Supplier<T> call) {
    lastStage = stage;
    int rows = stage == STEP ? rows(batch) : batch.size();
    long begin = ticker.nanos();
    T result = null;
    boolean outOfMemory = false;
    inCall = batch;
    try {
      result = call.get();
    } catch (InvalidRequestException e) {
      if (batch.size() == 1) {
        fail(batch.get(0), Kind.INVALID_REQUEST, e.getMessage());
      } else {
        // It does not say which one, so each is tried alone.
        batch.forEach(ticket -> ticket.alone = true);
      }
    } catch (NotFiniteException e) {
      for (int position : e.positions()) {
        failOrRetry(batch.get(position), Kind.NOT_FINITE, e.getMessage());
      }
    } catch (DeviceMemoryException e) {
      outOfMemory = true;
      if (batch.size() == 1) {
        failOrRetry(batch.get(0), Kind.OUT_OF_MEMORY, tooLarge(batch.get(0), e));
      } else {
        limits.halve(stage, key, rows);
      }
    }
    report(
        batch,
        new CallReport(
            stage, batch.size(), rows, outOfMemory, Duration.ofNanos(ticker.nanos() - begin)));
    inCall = List.of();
    if (result != null) {
      batch.forEach(ticket -> ticket.alone = false);
    }
    return result;
  }

  /**
   * The first in order that match, as long as they fit; the very first always does, so nobody is
   * passed over for ever.
   */
  private static List<Ticket> choose(
      NavigableSet<Ticket> from,
      Predicate<Ticket> matches,
      ToIntFunction<Ticket> rowsOf,
      int limit) {
    List<Ticket> batch = new ArrayList<>();
    int rows = 0;
    for (Ticket ticket : from) {
      if (!matches.test(ticket)) {
        continue;
      }
      if (batch.isEmpty()) {
        batch.add(ticket);
        rows = rowsOf.applyAsInt(ticket);
        if (ticket.alone) {
          break;
        }
      } else if (!ticket.alone && rows + rowsOf.applyAsInt(ticket) <= limit) {
        batch.add(ticket);
        rows += rowsOf.applyAsInt(ticket);
      }
      if (rows >= limit) {
        break;
      }
    }
    return batch;
  }

  private void expire() {
    long now = ticker.nanos();
    for (NavigableSet<Ticket> tickets : List.of(waiting, running, denoised)) {
      for (Ticket ticket : List.copyOf(tickets)) {
        ticket.expired(now).ifPresent(limit -> fail(ticket, Kind.TIMEOUT, tooLate(ticket, limit)));
      }
    }
  }

  /** Begins it anew behind those that wait, if it has an attempt left. */
  private void failOrRetry(Ticket ticket, Kind kind, String message) {
    if (!ticket.hasRetriesLeft()) {
      fail(ticket, kind, message);
      return;
    }
    remove(ticket);
    ticket.startOver(ranking.rank(ticket.how, ticker.nanos()), sequence.getAndIncrement());
    waiting.add(ticket);
    if (!ticket.session.isClosed()) {
      ticket.listener.onRetry(new RequestFailure(kind, message));
    }
  }

  private void remove(Ticket ticket) {
    waiting.remove(ticket);
    running.remove(ticket);
    denoised.remove(ticket);
  }

  private void fail(Ticket ticket, Kind kind, String message) {
    remove(ticket);
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
    waiting.clear();
    running.clear();
    denoised.clear();
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

  private boolean isHere(Ticket ticket) {
    return waiting.contains(ticket) || running.contains(ticket) || denoised.contains(ticket);
  }

  private void requireWorking() {
    if (failure != null) {
      throw new BatchingException(failure.getMessage(), failure);
    }
    if (closed) {
      throw new BatchingException("The device is closed; model " + model().info().name() + ".");
    }
  }

  private static String tooLarge(Ticket ticket, DeviceMemoryException e) {
    GenerationRequest request = ticket.request();
    return ("Request %s (%d x %d pixels) does not fit into the device's memory, even alone; ask for"
            + " a smaller picture, or run the model in half precision: %s")
        .formatted(request.id(), request.width(), request.height(), e.getMessage());
  }

  private static String tooLate(Ticket ticket, Ticket.TimeLimit limit) {
    String where =
        ticket.trajectory() == null
            ? "it was still waiting"
            : "it was at step %d of %d"
                .formatted(ticket.trajectory().step(), ticket.trajectory().totalSteps());
    return switch (limit) {
      case TIMEOUT ->
          "Request %s was not done within its limit of %d ms: %s; raise the limit, or send less at a time."
              .formatted(
                  ticket.request().id(), ticket.how.timeout().orElseThrow().toMillis(), where);
      case DEADLINE ->
          "Request %s was not done by its deadline, %d ms after it was taken in: %s; set a later one, or none."
              .formatted(
                  ticket.request().id(), ticket.how.deadline().orElseThrow().toMillis(), where);
    };
  }

  private static int rows(Collection<Ticket> tickets) {
    return tickets.stream().mapToInt(ticket -> ticket.trajectory().rows()).sum();
  }

  private static Set<Object> shapes(Collection<Ticket> tickets) {
    Set<Object> keys = new LinkedHashSet<>();
    tickets.forEach(ticket -> keys.add(ticket.trajectory().batchKey()));
    return keys;
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
