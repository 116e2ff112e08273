/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.ModelEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.TextEvent;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.batching.BatchingException;
import io.github.flinkdiffusion.ops.batching.CallReport;
import io.github.flinkdiffusion.ops.batching.ClassesAhead;
import io.github.flinkdiffusion.ops.batching.ModelPool;
import io.github.flinkdiffusion.ops.batching.SessionListener;
import io.github.flinkdiffusion.ops.batching.StepBatcher;
import io.github.flinkdiffusion.ops.batching.Tenant;
import io.github.flinkdiffusion.ops.serving.DecodingMemory;
import io.github.flinkdiffusion.ops.serving.DevicePlacement;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ModelList;
import io.github.flinkdiffusion.ops.serving.ProcessServices;
import io.github.flinkdiffusion.ops.serving.PromptScreen;
import io.github.flinkdiffusion.ops.serving.StepLedger;
import io.github.flinkdiffusion.ops.serving.TaskModels;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Queue;
import java.util.WeakHashMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import org.apache.flink.api.common.TaskInfo;
import org.apache.flink.api.common.operators.MailboxExecutor;
import org.apache.flink.api.common.state.BroadcastState;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.OperatorStateStore;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.runtime.execution.Environment;
import org.apache.flink.runtime.operators.coordination.CoordinationRequest;
import org.apache.flink.runtime.operators.coordination.CoordinationResponse;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.ProcessingTimeService;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.apache.flink.util.OutputTag;
import org.apache.flink.util.SerializedValue;
import org.apache.flink.util.function.ThrowingRunnable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Requests in, pictures out.
 *
 * <p><b>Threads.</b> The task's thread admits requests, puts results out and saves state; it owns
 * the {@link EmissionQueue}. The device's thread, shared by all subtasks on it, denoises; a small
 * pool reads and encodes pictures. Both hand results over by mail. When {@code capacity} requests
 * are in flight, a {@link CapacityGate} before the task's input is closed: that is the
 * back-pressure, and the task's thread stays free for checkpoints, however long the requests take.
 * Where there is no gate, or one record before this operator becomes several requests, the thread
 * works off its mail until one leaves, and a barrier that comes meanwhile waits as long. Whether a
 * barrier reaches the task at all while it is full depends on the {@link JobShape}.
 *
 * <p>Latency markers do not wait in the queue; as everywhere in Flink they measure the way, not the
 * work.
 *
 * <p><b>Large pictures.</b> A picture above the inline limit is stored before its result exists, so
 * state and output hold its reference alone. When the store does not take it the task fails, as it
 * does for other trouble that may pass, and nothing is lost.
 *
 * <p><b>State.</b> A checkpoint holds each request as far as it has come ({@link InFlight}). It
 * waits for nothing: while a device call runs, or a picture is encoded and stored, what was left
 * before is intact on the heap, and that is what is saved. Which step is saved does not matter,
 * since any is on the way to the same picture, and each request stands for itself, so they need not
 * be looked at at the same moment; that each is there exactly once does matter. After a scale-in a
 * subtask may begin with more than {@code capacity} requests; it takes no input until that is
 * worked off.
 *
 * <p>Subclasses read the input: {@link RequestOperator}, and {@link CancellableOperator}, which
 * knows of cancellations.
 */
abstract class DiffusionOperator extends AbstractStreamOperator<ImageEvent> {
  private static final long serialVersionUID = 1L;

  /** In place of Flink's, which all operators share. */
  private static final Logger LOG = LoggerFactory.getLogger(DiffusionOperator.class);

  static final OutputTag<FailureEvent> FAILURES =
      new OutputTag<>("failures", new AvroTypeInfo<>(FailureEvent.class));
  static final OutputTag<TextEvent> TEXTS =
      new OutputTag<>("texts", new AvroTypeInfo<>(TextEvent.class));
  static final OutputTag<ProgressEvent> PROGRESS =
      new OutputTag<>("progress", new AvroTypeInfo<>(ProgressEvent.class));

  private static final String STATE_NAME = "diffusion-requests";

  /** What earlier versions wrote: the same items, as byte arrays. */
  private static final String STATE_OF_BYTES = "diffusion-in-flight";

  /** What threads without work, which is nearly all, need to end. */
  private static final Duration ENCODERS_END = Duration.ofMillis(200);

  private final ModelList list;
  private final DiffusionSettings settings;

  /** Name of the {@link ControlBoard} with model events; null when there are none. */
  private final String modelBoard;

  private final transient ProcessServices services;
  private final transient MailboxExecutor mailbox;
  private final transient EmissionQueue<Request> queue;
  private final transient PartTurns turns;
  private final transient RequestHost host = new Host();

  /** Empty but for the moment of a snapshot, so it keeps no request alive that is done. */
  private transient ListState<InFlight> state;

  private transient List<InFlight> restored;
  private transient BroadcastState<String, byte[]> versionsState;
  private transient SavedVersions versions;
  private transient ModelChanges modelChanges;
  private transient boolean objectReuse;
  private transient TaskModels models;

  /** Of models that were loaded; each is looked at once. */
  private final transient Map<StepBatcher, Optional<String>> heapProblems = new WeakHashMap<>();

  private transient PromptScreen.Use screen;
  private transient ExecutorService encoders;
  private transient DiffusionMetrics meters;
  private transient StepLedger.Page ledger;
  private transient PayloadStore payloads;
  private transient Path scratch;
  private transient Probation probation;

  /** Null where requests are no frames of streams. */
  private transient LiveFrames live;

  /** Who took part in the call that the device failed in; from the device's thread. */
  private final transient Queue<Request> suspects = new ConcurrentLinkedQueue<>();

  private transient volatile int suspectCallSize;

  /** Null where the task's input cannot be paused. */
  private transient CapacityGate gate;

  /** What the reporters' threads see of the queue. */
  private transient volatile int inFlight;

  DiffusionOperator(
      StreamOperatorParameters<ImageEvent> parameters,
      ModelList list,
      DiffusionSettings settings,
      String modelBoard,
      ProcessServices services) {
    super(parameters);
    this.modelBoard = modelBoard;
    this.list = list;
    this.settings = settings;
    this.services = services;
    this.mailbox = parameters.getMailboxExecutor();
    this.queue = EmissionQueue.of(settings.outputOrder());
    this.turns = new PartTurns(settings.image().partsInFlight(), settings.image().memoryBytes());
  }

  // ------------------------------------------------------------------ life

  @Override
  public void initializeState(StateInitializationContext context) throws Exception {
    super.initializeState(context);
    OperatorStateStore store = context.getOperatorStateStore();
    restored = new ArrayList<>();
    if (store.getRegisteredStateNames().contains(STATE_OF_BYTES)) {
      ListState<byte[]> earlier =
          store.getListState(
              new ListStateDescriptor<>(
                  STATE_OF_BYTES, PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO));
      for (byte[] item : earlier.get()) {
        restored.add(InFlightSerializer.deserialize(item));
      }
      earlier.clear();
    }
    state =
        store.getListState(new ListStateDescriptor<>(STATE_NAME, InFlightTypeSerializer.INSTANCE));
    state.get().forEach(restored::add);
    state.clear();
    versionsState = store.getBroadcastState(SavedVersions.STATE);
    versions = SavedVersions.restore(versionsState);
  }

  @Override
  public void open() throws Exception {
    super.open();
    gate = CapacityGate.install(getContainingTask(), this::isFull);
    sayWhetherCheckpointsWait();
    objectReuse = getExecutionConfig().isObjectReuseEnabled();
    int subtask = getRuntimeContext().getTaskInfo().getIndexOfThisSubtask();
    settings.credentials().signer();
    settings.watermark().requireKey();
    screen = settings.limits().screen().open();
    long begin = System.nanoTime();
    models =
        new TaskModels(
            list,
            settings,
            services.models(),
            getRuntimeContext().getExternalResourceInfos(DevicePlacement.GPU_RESOURCE),
            subtask,
            new Session());
    models.restore(versions.models());
    modelChanges = new ModelChanges(models, new ModelLine(), versions.events());
    ModelPool.Use first = models.open();
    HeapNeed.requireFits(
        first.batcher(),
        settings.capacity(),
        settings.batch().example().orElseThrow(),
        Runtime.getRuntime().maxMemory());
    meters =
        new DiffusionMetrics(
            getMetricGroup(),
            this::inFlight,
            Duration.ofNanos(System.nanoTime() - begin),
            first.batcher().rowLimit());
    list.names().forEach(name -> meters.model(name, () -> models.counts(name)));
    ledger =
        services
            .ledger()
            .page(
                getRuntimeContext().getJobInfo().getJobId().toHexString(),
                getOperatorID().toHexString());
    payloads = new PayloadStore(settings.payload());
    scratch =
        Path.of(getContainingTask().getEnvironment().getTaskManagerInfo().getTmpDirectories()[0]);
    encoders = services.encoders().create(Integer.toString(subtask), settings.encodingWorkers());
    probation = new Probation(new ToCoordinator(), self(subtask), settings.capacity());
    probation.begin();
    if (settings.live().enabled() && getKeyedStateBackend() != null) {
      live = new LiveFrames(this, settings.live(), probation::admit);
      meters.live(live::repeated, live::remembered);
    }
    resumeRestored();
    first.close();
    if (modelBoard != null) {
      feed(modelBoard, modelChanges::read);
    }
  }

  private boolean isFull() {
    return queue.size() >= settings.capacity();
  }

  /** After the number of requests in flight has changed. */
  private void sizeChanged() {
    inFlight = queue.size();
    updateGate();
  }

  private void updateGate() {
    if (gate != null) {
      gate.update();
    }
  }

  /** Once for all subtasks, which have the same shape. */
  private void sayWhetherCheckpointsWait() {
    if (getRuntimeContext().getTaskInfo().getIndexOfThisSubtask() == 0) {
      JobShape shape = JobShape.of(getContainingTask(), gate != null);
      if (shape.passes()) {
        LOG.info("{}", shape.description());
      } else {
        LOG.warn("{}", shape.description());
      }
    }
  }

  private CoordinatorRequest.Speaker self(int subtask) {
    Environment task = getContainingTask().getEnvironment();
    ProcessHandle process = ProcessHandle.current();
    return new CoordinatorRequest.Speaker(
        getOperatorID().toHexString(),
        subtask,
        task.getExecutionId().toString(),
        "%s/%d/%s"
            .formatted(
                task.getTaskManagerInfo().getTaskManagerExternalAddress(),
                process.pid(),
                process.info().startInstant().map(Object::toString).orElse("")));
  }

  private void resumeRestored() throws Exception {
    for (InFlight item : restored) {
      Request request;
      if (item instanceof InFlight.Waiting waiting) {
        request =
            new PromptRequest(
                host,
                waiting.prompt(),
                waiting.timestamp(),
                Optional.empty(),
                waiting.deviceNanos());
      } else if (item instanceof InFlight.Running running) {
        request =
            new PromptRequest(
                host,
                running.prompt(),
                running.timestamp(),
                Optional.of(running.trajectory()),
                running.deviceNanos());
      } else if (item instanceof InFlight.Task task) {
        request =
            new ImageTaskRequest(
                host, task.task(), task.timestamp(), task.progress(), task.deviceNanos());
      } else {
        request = new FinishedRequest(host, (InFlight.Finished) item);
      }
      admit(request, false);
    }
    restored = List.of();
    if (live != null) {
      for (LiveFrames.Restored frame : live.restored()) {
        resume(frame);
      }
    }
  }

  private void resume(LiveFrames.Restored frame) throws Exception {
    Request request =
        frame.item() instanceof InFlight.Task task
            ? new ImageTaskRequest(
                host, task.task(), task.timestamp(), task.progress(), task.deviceNanos())
            : new FinishedRequest(host, (InFlight.Finished) frame.item());
    live.restore(request, frame.id());
    admit(request, false);
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

  /**
   * Leaves at once. What the device and the encoders are at they finish alone, on daemon threads,
   * and nobody hears of it.
   */
  @Override
  public void close() throws Exception {
    try {
      if (models != null) {
        models.close();
      }
      if (encoders != null) {
        encoders.shutdownNow();
        if (!encoders.awaitTermination(ENCODERS_END.toMillis(), TimeUnit.MILLISECONDS)) {
          LOG.info("An image is still being read or encoded; its thread ends by itself.");
          ClassesAhead.load();
        }
      }
      queue.requests().forEach(Request::discard);
    } finally {
      if (screen != null) {
        screen.close();
      }
      if (probation != null) {
        if (!suspects.isEmpty()) {
          probation.fails(List.copyOf(suspects), suspectCallSize);
        }
        probation.end();
      }
      super.close();
    }
  }

  // ------------------------------------------------------------------ input

  final <E> void take(RequestKind<E> kind, StreamRecord<E> element) throws Exception {
    // Where the gate holds, only for what one record before this operator has become.
    while (isFull()) {
      mailbox.yield();
    }
    RequestEvent event = kind.request(element.getValue(), objectReuse);
    OptionalLong timestamp =
        element.hasTimestamp() ? OptionalLong.of(element.getTimestamp()) : OptionalLong.empty();
    admit(
        event.event() instanceof PromptEvent prompt
            ? new PromptRequest(host, prompt, timestamp, Optional.empty(), 0)
            : new ImageTaskRequest(
                host, (ImageTaskEvent) event.event(), timestamp, TaskProgress.NONE, 0),
        true);
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
  Optional<CancelEvent> cancellationOf(String id, OptionalLong timestamp) {
    return Optional.empty();
  }

  /**
   * Takes back all requests of this id that were sent before it, are in flight and have no result
   * yet.
   *
   * @return false when there is none
   */
  final boolean cancelInFlight(Cancellation cancellation) {
    CancelEvent cancel = cancellation.event();
    boolean found = false;
    for (Request request : queue.requests()) {
      if (!request.outcome.isDone()
          && request.event.id().equals(cancel.getId())
          && cancellation.countsFor(request.timestamp)) {
        request.cancel(cancel);
        found = true;
      }
    }
    return found;
  }

  /**
   * @param arrives false for one that was admitted before a restart, and is not refused now
   */
  private void admit(Request request, boolean arrives) throws Exception {
    long ofTenant =
        arrives && settings.tenants().quota().isPresent() ? inFlight(request.tenant()) : 0;
    queue.add(request);
    sizeChanged();
    Optional<LiveFrames.Refusal> refusal =
        live != null && arrives ? live.arrived(request) : Optional.empty();
    if (!(request instanceof FinishedRequest)) {
      meters.requested(request.event.model());
      if (refusal.isPresent()) {
        request.fail(refusal.get().reason(), refusal.get().message());
        return;
      }
      Optional<CancelEvent> cancellation = cancellationOf(request.event.id(), request.timestamp);
      if (cancellation.isPresent()) {
        request.fail(
            FailureReason.CANCELLED,
            Events.cancelled(
                "Request %s was cancelled before it was admitted.".formatted(request.event.id()),
                cancellation.get()));
        return;
      }
    }
    if (request instanceof FinishedRequest) {
      request.begin();
    } else if (ofTenant > 0 && ofTenant >= settings.tenants().quota().orElseThrow()) {
      request.fail(
          FailureReason.QUOTA_EXCEEDED,
          "Request %s was refused, because tenant '%s' has %d requests in flight in this subtask (%s). Send it again when some of them are finished."
              .formatted(
                  request.event.id(),
                  request.tenant().name(),
                  ofTenant,
                  DiffusionOptions.TENANTS_MAX_IN_FLIGHT.key()));
    } else if (isFrame(request)) {
      live.admit(request);
    } else {
      probation.admit(request);
    }
  }

  private boolean isFrame(Request request) {
    return live != null && live.has(request);
  }

  private long inFlight(Tenant tenant) {
    long many = 0;
    for (Request request : queue.requests()) {
      if (!request.outcome.isDone() && request.tenant().name().equals(tenant.name())) {
        many++;
      }
    }
    return many;
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

  LiveFrames live() {
    return live;
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

  /** Whether results are texts; else they are images. */
  abstract boolean emitsTexts();

  private void emit(Request request) throws Exception {
    sizeChanged();
    if (live != null) {
      live.emitted(request);
    }
    Outcome outcome = request.outcome.join(); // complete, or it would not be ready
    if (outcome instanceof Outcome.Picture picture) {
      meters.pictures.inc();
      output.collect(
          request.record(
              mayBeChanged(request)
                  ? ImageEvent.newBuilder(picture.event()).build()
                  : picture.event()));
    } else if (outcome instanceof Outcome.Text text) {
      meters.texts.inc();
      output.collect(
          TEXTS,
          request.record(
              mayBeChanged(request) ? TextEvent.newBuilder(text.event()).build() : text.event()));
    } else if (outcome instanceof Outcome.Failure failure) {
      meters.failed(failure.event().getReason());
      output.collect(
          FAILURES,
          request.record(
              mayBeChanged(request)
                  ? FailureEvent.newBuilder(failure.event()).build()
                  : failure.event()));
    }
    meters.traced(request.span(outcome));
  }

  /**
   * A checkpoint may still be writing the event, and where objects are reused whoever comes next
   * may change it.
   */
  private boolean mayBeChanged(Request request) {
    return objectReuse && request.isSaved();
  }

  // ------------------------------------------------------------------ state

  @Override
  public void snapshotState(StateSnapshotContext context) throws Exception {
    super.snapshotState(context);
    updateGate();
    List<InFlight> items = new ArrayList<>(restored); // none once it is open
    for (Request request : queue.requests()) {
      if (!isFrame(request)) {
        items.add(request.asFarAsItCame());
      }
    }
    if (live != null) {
      live.save();
    }
    state.update(items);
    if (modelChanges != null) {
      versions = new SavedVersions(models.versions(), modelChanges.known());
    }
    versions.save(versionsState);
    // Flink has taken its own list of the items by then, and writes from that.
    mail(state::clear, "saved requests are let go");
  }

  // ------------------------------------------------------------------ from other threads

  /** Sends a mail, unless the task has ended and nobody reads it any more. */
  final void mail(ThrowingRunnable<? extends Exception> action, String what) {
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

  /** One more event was read, as a test's job manager would bring it; task thread. */
  final void modelEvent(ModelEvent event) {
    modelChanges.read(EventCodec.models().encode(event));
  }

  private final class ModelLine implements ModelChanges.Line {
    @Override
    public void mail(ThrowingRunnable<? extends Exception> action, String what) {
      DiffusionOperator.this.mail(action, what);
    }

    /** All subtasks say so in their logs, and the first one to the job. */
    @Override
    public void refused(ModelEvent event, String why) {
      meters.refusedModelEvents.inc();
      if (getRuntimeContext().getTaskInfo().getIndexOfThisSubtask() == 0) {
        output.collect(FAILURES, new StreamRecord<>(Events.failure(event, why)));
      }
    }

    /** Each subtask says it to the job, and which one it is. */
    @Override
    public void refusedHere(ModelEvent event, String why) {
      meters.refusedModelEvents.inc();
      TaskInfo task = getRuntimeContext().getTaskInfo();
      String here =
          task.getNumberOfParallelSubtasks() == 1
              ? why
              : "Subtask %d of %d, on TaskManager %s: %s"
                  .formatted(
                      task.getIndexOfThisSubtask() + 1,
                      task.getNumberOfParallelSubtasks(),
                      getContainingTask()
                          .getEnvironment()
                          .getTaskManagerInfo()
                          .getTaskManagerExternalAddress(),
                      why);
      output.collect(FAILURES, new StreamRecord<>(Events.failure(event, here)));
    }
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

  private CompletableFuture<CoordinationResponse> send(CoordinationRequest request)
      throws IOException {
    return getContainingTask()
        .getEnvironment()
        .getOperatorCoordinatorEventGateway()
        .sendRequestToCoordinator(getOperatorID(), new SerializedValue<>(request));
  }

  /** Reads what hangs on a board in the job manager, from now on; task thread. */
  final void feed(String board, Consumer<byte[]> read) {
    ControlFeed.Line line =
        new ControlFeed.Line() {
          @Override
          public CompletableFuture<CoordinationResponse> send(CoordinationRequest request)
              throws IOException {
            return DiffusionOperator.this.send(request);
          }

          @Override
          public void mail(ThrowingRunnable<? extends Exception> action, String what) {
            DiffusionOperator.this.mail(action, what);
          }

          @Override
          public void later(Duration after, Runnable action) {
            DiffusionOperator.this.later(after, action);
          }
        };
    new ControlFeed(board, line, read).ask();
  }

  private final class ToCoordinator implements Probation.Line {
    @Override
    public CompletableFuture<Verdict> send(CoordinatorRequest request) {
      ClassLoader userCode = getRuntimeContext().getUserCodeClassLoader();
      try {
        return DiffusionOperator.this
            .send(request)
            .thenApply(
                response -> {
                  try {
                    return DiffusionCoordinator.verdict(response, userCode);
                  } catch (IOException e) {
                    throw new CompletionException(e);
                  }
                });
      } catch (IOException | RuntimeException e) {
        return CompletableFuture.failedFuture(e);
      }
    }

    @Override
    public void whenDone(CompletableFuture<Verdict> answer, BiConsumer<Verdict, Throwable> then) {
      if (answer.isDone()) {
        answer.whenComplete(then);
      } else {
        answer.whenComplete(
            (verdict, failure) ->
                mail(() -> then.accept(verdict, failure), "the coordinator has answered"));
      }
    }

    @Override
    public void later(Duration after, Runnable then) {
      DiffusionOperator.this.later(after, then);
    }
  }

  /** Runs it on the task's thread after a time; task thread. */
  private void later(Duration after, Runnable then) {
    ProcessingTimeService time = getProcessingTimeService();
    time.registerTimer(time.getCurrentProcessingTime() + after.toMillis(), now -> then.run());
  }

  /** This subtask, as requests see it. */
  private final class Host implements RequestHost {
    @Override
    public boolean emitsTexts() {
      return DiffusionOperator.this.emitsTexts();
    }

    @Override
    public TaskModels models() {
      return models;
    }

    @Override
    public Optional<String> heapProblem(StepBatcher model) {
      return heapProblems.computeIfAbsent(
          model,
          any ->
              HeapNeed.problem(
                  model,
                  settings.capacity(),
                  settings.batch().example().orElseThrow(),
                  Runtime.getRuntime().maxMemory()));
    }

    @Override
    public DiffusionSettings settings() {
      return settings;
    }

    @Override
    public DiffusionMetrics meters() {
      return meters;
    }

    @Override
    public StepLedger.Page ledger() {
      return ledger;
    }

    @Override
    public PayloadStore payloads() {
      return payloads;
    }

    @Override
    public DecodingMemory decoding() {
      return services.decoding();
    }

    @Override
    public Path scratch() {
      return scratch;
    }

    @Override
    public long now() {
      return getProcessingTimeService().getCurrentProcessingTime();
    }

    @Override
    public void work(Runnable task) {
      try {
        encoders.execute(task);
      } catch (RejectedExecutionException e) {
        LOG.debug("The task ended before its work on a request was finished.", e);
      }
    }

    @Override
    public void mail(ThrowingRunnable<? extends Exception> action, String what) {
      DiffusionOperator.this.mail(action, what);
    }

    @Override
    public void failTask(String message, Throwable cause) {
      DiffusionOperator.this.failTask(message, cause);
    }

    @Override
    public void later(Duration after, Runnable then) {
      mail(() -> DiffusionOperator.this.later(after, then), "try again later");
    }

    @Override
    public void suspected(Request request, int callSize) {
      suspects.add(request);
      suspectCallSize = callSize;
    }

    @Override
    public void ended(Request request) {
      mail(
          () -> {
            request.release();
            probation.ended(request);
            if (live != null) {
              live.answered(request);
            }
            queue.complete(request);
            emitReady();
          },
          "request is done");
    }

    @Override
    public void emit(StreamRecord<ProgressEvent> progress) {
      output.collect(PROGRESS, progress);
    }

    @Override
    public PartTurns turns() {
      return turns;
    }
  }
}
