package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.batching.BatchSession;
import io.github.flinkdiffusion.ops.batching.BatchingException;
import io.github.flinkdiffusion.ops.batching.CallReport;
import io.github.flinkdiffusion.ops.batching.RequestFailure;
import io.github.flinkdiffusion.ops.batching.RequestListener;
import io.github.flinkdiffusion.ops.batching.SessionListener;
import io.github.flinkdiffusion.ops.batching.SharedBatchers;
import io.github.flinkdiffusion.ops.batching.Submission;
import io.github.flinkdiffusion.ops.batching.Ticket;
import io.github.flinkdiffusion.ops.batching.Work;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.flink.api.common.operators.MailboxExecutor;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.apache.flink.util.OutputTag;
import org.apache.flink.util.function.ThrowingRunnable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Prompts in, pictures out.
 *
 * <p><b>Threads.</b> The task's thread admits requests (a cheap check), puts results out and saves
 * state; it owns the {@link EmissionQueue}. The device's thread, shared by all subtasks on it,
 * denoises; a small pool encodes pictures. Both hand results over by mail. When {@code capacity}
 * requests are in flight, the task's thread works off its mail instead of taking input: that is the
 * back-pressure, and no barrier can come between a request's arrival and its admission. The price,
 * as with every operator of Flink: a barrier that comes meanwhile waits until one request leaves.
 *
 * <p>Latency markers do not wait in the queue; as everywhere in Flink they measure the way, not the
 * work.
 *
 * <p><b>Large pictures.</b> A picture above the inline limit is stored before its result exists, so
 * state and output hold its reference alone. When the store does not take it the task fails, as it
 * does for other trouble that may pass, and nothing is lost.
 *
 * <p><b>State.</b> A checkpoint waits for at most one device call (and for pictures that are being
 * encoded and stored), then holds each request as far as it has come ({@link InFlight}). Which step
 * is saved does not matter, since any is on the way to the same picture; that each request is there
 * exactly once does. After a scale-in a subtask may begin with more than {@code capacity} requests;
 * it takes no input until that is worked off.
 *
 * <p>Subclasses say which inputs there are: {@link PromptOperator}, {@link CancellableOperator}.
 */
abstract class DiffusionOperator extends AbstractStreamOperator<ImageEvent> {
  private static final long serialVersionUID = 1L;

  /** In place of Flink's, which all operators share. */
  private static final Logger LOG = LoggerFactory.getLogger(DiffusionOperator.class);

  static final OutputTag<FailureEvent> FAILURES =
      new OutputTag<>("failures", new AvroTypeInfo<>(FailureEvent.class));
  static final OutputTag<ProgressEvent> PROGRESS =
      new OutputTag<>("progress", new AvroTypeInfo<>(ProgressEvent.class));

  private static final String STATE_NAME = "diffusion-in-flight";

  /** A deadline that is further away than this is none; also keeps nanoseconds within a long. */
  private static final long MOST_MILLIS_LEFT = Duration.ofDays(365).toMillis();

  private static final Duration ENCODERS_END = Duration.ofSeconds(30);

  private final PipelineFactory pipeline;
  private final DiffusionSettings settings;
  private final transient ProcessServices services;
  private final transient MailboxExecutor mailbox;
  private final transient EmissionQueue<Request> queue;

  private transient ListState<byte[]> state;
  private transient List<InFlight> restored;
  private transient boolean objectReuse;
  private transient SharedBatchers.Lease lease;
  private transient BatchSession session;
  private transient ExecutorService encoders;
  private transient DiffusionMetrics meters;
  private transient StepLedger.Page ledger;
  private transient PayloadStore payloads;

  /** What the reporters' threads see of the queue. */
  private transient volatile int inFlight;

  DiffusionOperator(
      StreamOperatorParameters<ImageEvent> parameters,
      PipelineFactory pipeline,
      DiffusionSettings settings,
      ProcessServices services) {
    super(parameters);
    this.pipeline = pipeline;
    this.settings = settings;
    this.services = services;
    this.mailbox = parameters.getMailboxExecutor();
    this.queue = EmissionQueue.of(settings.outputOrder());
  }

  // ------------------------------------------------------------------ life

  @Override
  public void initializeState(StateInitializationContext context) throws Exception {
    super.initializeState(context);
    state =
        context
            .getOperatorStateStore()
            .getListState(
                new ListStateDescriptor<>(
                    STATE_NAME, PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO));
    restored = new ArrayList<>();
    for (byte[] item : state.get()) {
      restored.add(InFlightSerializer.deserialize(item));
    }
    // The next checkpoint writes it anew; until then Flink need not hold it a second time.
    state.clear();
  }

  @Override
  public void open() throws Exception {
    super.open();
    objectReuse = getExecutionConfig().isObjectReuseEnabled();
    int subtask = getRuntimeContext().getTaskInfo().getIndexOfThisSubtask();
    String device =
        pipeline.resolve(
            DevicePlacement.choose(
                settings.device(),
                getRuntimeContext().getExternalResourceInfos(DevicePlacement.GPU_RESOURCE),
                subtask));
    long begin = System.nanoTime();
    lease =
        services
            .batchers()
            .acquire(
                new SharedBatchers.Key(pipeline.model(), device),
                settings.batch(),
                () -> pipeline.open(device));
    meters =
        new DiffusionMetrics(
            getMetricGroup(),
            this::inFlight,
            Duration.ofNanos(System.nanoTime() - begin),
            lease.batcher().rowLimit());
    ledger =
        services
            .ledger()
            .page(
                getRuntimeContext().getJobInfo().getJobId().toHexString(),
                getOperatorID().toHexString());
    payloads = new PayloadStore(settings.payload());
    encoders = services.encoders().create(Integer.toString(subtask), settings.encodingThreads());
    session = lease.batcher().join(new Session());
    resumeRestored();
  }

  private void resumeRestored() {
    for (InFlight item : restored) {
      if (item instanceof InFlight.Waiting waiting) {
        LOG.debug("Request {} goes on behind step 0.", waiting.prompt().getId());
        admit(new Request(waiting.prompt(), waiting.timestamp()));
      } else if (item instanceof InFlight.Running running) {
        resume(new Request(running.prompt(), running.timestamp()), running.trajectory());
      } else if (item instanceof InFlight.Finished finished) {
        Request request = new Request(null, finished.timestamp());
        add(request);
        request.end(finished.outcome());
      }
    }
    restored = null;
  }

  private void resume(Request request, TrajectorySnapshot trajectory) {
    if (trajectory.modelDigest().equals(lease.batcher().model().digest())) {
      meters.restoredTrajectories.inc();
      LOG.debug("Request {} goes on behind step {}.", request.prompt.getId(), trajectory.step());
      add(request);
      submit(request, new Work.Resumed(trajectory));
    } else {
      // Half a way on one model and half on another leads to no picture of either.
      meters.restartedTrajectories.inc();
      ledger.made(request.prompt.getId(), trajectory.step());
      LOG.info(
          "Request {} begins again, {} steps are lost: the model has changed from {} to {}.",
          request.prompt.getId(),
          trajectory.step(),
          trajectory.modelDigest(),
          lease.batcher().model());
      admit(request);
    }
  }

  /**
   * Works until all that was taken in is put out. As with every operator of Flink that works off at
   * the end of its input, no checkpoint begins meanwhile.
   */
  final void drain() throws Exception {
    while (!queue.isEmpty()) {
      mailbox.yield();
    }
  }

  @Override
  public void close() throws Exception {
    try {
      if (session != null) {
        session.close();
      }
      if (encoders != null) {
        encoders.shutdownNow();
        if (!encoders.awaitTermination(ENCODERS_END.toMillis(), TimeUnit.MILLISECONDS)) {
          LOG.warn("Encoding pictures did not end within {}.", ENCODERS_END);
        }
      }
    } finally {
      if (lease != null) {
        lease.close();
      }
      super.close();
    }
  }

  // ------------------------------------------------------------------ input

  final void take(StreamRecord<PromptEvent> element) throws Exception {
    while (queue.size() >= settings.capacity()) {
      mailbox.yield();
    }
    PromptEvent prompt = element.getValue();
    admit(
        new Request(
            objectReuse ? PromptEvent.newBuilder(prompt).build() : prompt,
            element.hasTimestamp()
                ? OptionalLong.of(element.getTimestamp())
                : OptionalLong.empty()));
  }

  final void hold(Watermark mark) throws Exception {
    queue.add(mark);
    emitReady();
  }

  /** Held in the queue as watermarks are: idle must not overtake what is still to come. */
  final void hold(WatermarkStatus status) throws Exception {
    queue.add(status);
    emitReady();
  }

  /**
   * Whether a request that has just come was taken back before.
   *
   * @param timestamp event time of the request, if it has one
   */
  Optional<CancelEvent> cancellationOf(PromptEvent prompt, OptionalLong timestamp) {
    return Optional.empty();
  }

  /**
   * Takes back all requests of this id that are in flight and have no result yet.
   *
   * @return false when there is none
   */
  final boolean cancelInFlight(CancelEvent cancel) {
    boolean found = false;
    for (Request request : queue.requests()) {
      if (request.ticket != null
          && !request.outcome.isDone()
          && request.prompt.getId().equals(cancel.getId())) {
        request.cancellation = cancel;
        session.cancel(request.ticket);
        found = true;
      }
    }
    return found;
  }

  private void admit(Request request) {
    add(request);
    Optional<CancelEvent> cancellation = cancellationOf(request.prompt, request.timestamp);
    if (cancellation.isPresent()) {
      request.fail(
          FailureReason.CANCELLED,
          Events.cancelled(
              "Request %s was cancelled before it was taken in.".formatted(request.prompt.getId()),
              cancellation.get()));
      return;
    }
    Work work;
    try {
      work = new Work.Fresh(lease.batcher().prepare(Events.spec(request.prompt, settings)));
    } catch (InvalidRequestException e) {
      request.fail(FailureReason.INVALID_REQUEST, e.getMessage());
      return;
    }
    submit(request, work);
  }

  private void add(Request request) {
    queue.add(request);
    inFlight = queue.size();
  }

  private void submit(Request request, Work work) {
    Submission how =
        Submission.DEFAULT
            .withPriority(request.prompt.getPriority())
            .withRetries(settings.requestRetries())
            .withPreviewEverySteps(settings.previewEverySteps());
    if (settings.timeout().isPresent()) {
      how = how.withTimeout(settings.timeout().get());
    }
    Long deadline = request.prompt.getDeadline();
    if (deadline != null) {
      long now = getProcessingTimeService().getCurrentProcessingTime();
      if (deadline <= now) {
        request.fail(
            FailureReason.TIMEOUT,
            "Request %s came after its deadline, %s; it is %s."
                .formatted(
                    request.prompt.getId(),
                    Instant.ofEpochMilli(deadline),
                    Instant.ofEpochMilli(now)));
        return;
      }
      if (deadline - now <= MOST_MILLIS_LEFT) {
        how = how.withDeadline(Duration.ofMillis(deadline - now));
      }
    }
    request.ticket = session.submit(work, how, request);
  }

  // ------------------------------------------------------------------ output

  /**
   * Puts out at most one result, with the watermarks before it, then gives way: between two
   * results, which may be large, a checkpoint can begin.
   */
  private void emitReady() throws Exception {
    boolean resultOut = false;
    while (queue.hasReady()) {
      Object next = queue.poll();
      if (next instanceof Signals signals) {
        emit(signals);
      } else {
        emit((Request) next);
        resultOut = true;
      }
      if (resultOut && queue.hasReady()) {
        mail(this::emitReady, "next result");
        return;
      }
    }
  }

  /** Requests taken in and not put out; for any thread. */
  int inFlight() {
    return inFlight;
  }

  DiffusionMetrics meters() {
    return meters;
  }

  private void emit(Signals signals) throws Exception {
    for (Object signal : signals.inOrder()) {
      if (signal instanceof Watermark watermark) {
        output.emitWatermark(watermark);
      } else {
        output.emitWatermarkStatus((WatermarkStatus) signal);
      }
    }
  }

  private void emit(Request request) {
    inFlight = queue.size();
    Outcome outcome = request.outcome.join(); // complete, or it would not be ready
    if (outcome instanceof Outcome.Picture picture) {
      meters.pictures.inc();
      output.collect(request.record(picture.event()));
    } else if (outcome instanceof Outcome.Failure failure) {
      meters.failed(failure.event().getReason());
      output.collect(FAILURES, request.record(failure.event()));
    }
  }

  // ------------------------------------------------------------------ state

  @Override
  public void snapshotState(StateSnapshotContext context) throws Exception {
    super.snapshotState(context);
    List<Request> requests = queue.requests();
    // Empty when nothing is on the device, and then there is nothing to wait for.
    Map<Ticket, Work> onDevice =
        requests.stream().allMatch(request -> request.outcome.isDone())
            ? Map.of()
            : session.snapshot();
    List<byte[]> items = new ArrayList<>(requests.size());
    for (Request request : requests) {
      items.add(InFlightSerializer.serialize(asFarAsItCame(request, onDevice)));
    }
    state.update(items);
  }

  private InFlight asFarAsItCame(Request request, Map<Ticket, Work> onDevice)
      throws InterruptedException {
    Work rest = request.ticket == null ? null : onDevice.get(request.ticket);
    if (rest instanceof Work.Fresh) {
      return new InFlight.Waiting(request.timestamp, request.prompt);
    }
    if (rest instanceof Work.Resumed resumed) {
      return new InFlight.Running(request.timestamp, request.prompt, resumed.snapshot());
    }
    // The device is done with it: at most its picture is still being encoded.
    try {
      return new InFlight.Finished(request.timestamp, request.outcome.get());
    } catch (ExecutionException e) {
      throw new DiffusionException(
          "The picture of request " + request.prompt.getId() + " could not be saved.",
          e.getCause());
    }
  }

  // ------------------------------------------------------------------ from other threads

  /** Sends a mail, unless the task has ended and nobody reads it any more. */
  private void mail(ThrowingRunnable<? extends Exception> action, String what) {
    try {
      mailbox.execute(action, what);
    } catch (RejectedExecutionException e) {
      LOG.debug("The task has ended before: {}", what, e);
    }
  }

  private void failTask(String message, Throwable cause) {
    mail(
        () -> {
          throw new DiffusionException(message, cause);
        },
        message);
  }

  private final class Session implements SessionListener {
    @Override
    public void onCall(CallReport report) {
      meters.called(report);
    }

    @Override
    public void onDeviceFailed(BatchingException cause) {
      failTask("The device failed: " + cause.getMessage(), cause);
    }
  }

  /** One request from its arrival until its result is put out. */
  private final class Request implements RequestListener {
    /** Null when it was restored as finished. */
    final PromptEvent prompt;

    final OptionalLong timestamp;

    /** Completed by whichever thread ends the request; its mail follows. */
    final CompletableFuture<Outcome> outcome = new CompletableFuture<>();

    /** Null when it never went to the device. Task thread only. */
    Ticket ticket;

    /** What took it back, if something did; said before the device is told. */
    volatile CancelEvent cancellation;

    private final AtomicBoolean progressMailed = new AtomicBoolean();
    private final AtomicBoolean previewUnderWay = new AtomicBoolean();
    private volatile int step;
    private volatile int totalSteps;

    Request(PromptEvent prompt, OptionalLong timestamp) {
      this.prompt = prompt;
      this.timestamp = timestamp;
    }

    <T> StreamRecord<T> record(T value) {
      return timestamp.isPresent()
          ? new StreamRecord<>(value, timestamp.getAsLong())
          : new StreamRecord<>(value);
    }

    void end(Outcome how) {
      outcome.complete(how);
      mail(
          () -> {
            queue.complete(this);
            emitReady();
          },
          "request is done");
    }

    void fail(FailureReason reason, String message) {
      end(new Outcome.Failure(Events.failure(prompt, reason, message)));
    }

    @Override
    public void onStarted(Duration queued) {
      meters.queued(queued);
    }

    @Override
    public void onRetry(RequestFailure cause) {
      meters.retries.inc();
      LOG.info("Request {} is begun anew: {}", prompt.getId(), cause.message());
    }

    @Override
    public void onStep(int done, int ofTotal) {
      meters.steps.inc();
      if (ledger.made(prompt.getId(), done)) {
        meters.redoneSteps.inc();
      }
      int every = settings.progressEverySteps();
      if (every > 0 && (done % every == 0 || done == ofTotal)) {
        step = done;
        totalSteps = ofTotal;
        // One mail at a time: a slow task must not be buried under progress.
        if (progressMailed.compareAndSet(false, true)) {
          mail(this::emitProgress, "progress");
        }
      }
    }

    private void emitProgress() {
      progressMailed.set(false);
      emitProgress(step, totalSteps, null);
    }

    private void emitProgress(int done, int ofTotal, ByteBuffer preview) {
      output.collect(
          PROGRESS,
          record(
              ProgressEvent.newBuilder()
                  .setId(prompt.getId())
                  .setStep(done)
                  .setTotalSteps(ofTotal)
                  .setPreview(preview)
                  .build()));
    }

    /** One preview at a time, too; it is of no use any more when the picture is there. */
    @Override
    public void onPreview(int done, int ofTotal, Raster preview) {
      if (!previewUnderWay.compareAndSet(false, true)) {
        return;
      }
      encode(
          () -> {
            ByteBuffer png = ByteBuffer.wrap(PngCodec.encode(preview));
            mail(
                () -> {
                  previewUnderWay.set(false);
                  if (!outcome.isDone()) {
                    emitProgress(done, ofTotal, png);
                  }
                },
                "preview");
          });
    }

    @Override
    public void onFinished(GeneratedImage image) {
      encode(
          () ->
              end(
                  new Outcome.Picture(
                      Events.image(prompt, image, lease.batcher().model(), payloads))));
    }

    private void encode(Runnable work) {
      try {
        encoders.execute(() -> encodeOrFail(work));
      } catch (RejectedExecutionException e) {
        LOG.debug("The task has ended before request {} was encoded.", prompt.getId(), e);
      }
    }

    private void encodeOrFail(Runnable work) {
      try {
        work.run();
      } catch (RuntimeException | Error e) {
        outcome.completeExceptionally(e);
        failTask(
            "The picture of request " + prompt.getId() + " could not be encoded or stored: " + e,
            e);
      }
    }

    @Override
    public void onFailed(RequestFailure failure) {
      fail(
          Events.reason(failure.kind()),
          failure.kind() == RequestFailure.Kind.CANCELLED
              ? Events.cancelled(failure.message(), cancellation)
              : failure.message());
    }
  }
}
