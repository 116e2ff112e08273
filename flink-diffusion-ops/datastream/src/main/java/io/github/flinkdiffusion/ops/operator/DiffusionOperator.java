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
import io.github.flinkdiffusion.connector.event.ModelEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.TextEvent;
import io.github.flinkdiffusion.ops.batching.BatchingException;
import io.github.flinkdiffusion.ops.batching.CallReport;
import io.github.flinkdiffusion.ops.batching.ModelPool;
import io.github.flinkdiffusion.ops.batching.SessionListener;
import io.github.flinkdiffusion.ops.serving.DevicePlacement;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ModelList;
import io.github.flinkdiffusion.ops.serving.ProcessServices;
import io.github.flinkdiffusion.ops.serving.PromptScreen;
import io.github.flinkdiffusion.ops.serving.TaskModels;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Consumer;
import org.apache.flink.api.common.operators.MailboxExecutor;
import org.apache.flink.api.common.state.BroadcastState;
import org.apache.flink.api.common.state.OperatorStateStore;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.runtime.taskmanager.TaskManagerRuntimeInfo;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.apache.flink.util.OutputTag;

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

  static final OutputTag<FailureEvent> FAILURES =
      new OutputTag<>("failures", new AvroTypeInfo<>(FailureEvent.class));
  static final OutputTag<TextEvent> TEXTS =
      new OutputTag<>("texts", new AvroTypeInfo<>(TextEvent.class));
  static final OutputTag<ProgressEvent> PROGRESS =
      new OutputTag<>("progress", new AvroTypeInfo<>(ProgressEvent.class));

  private final ModelList list;
  private final DiffusionSettings settings;

  /** Name of the {@link ControlBoard} with model events; null when there are none. */
  private final String modelBoard;

  private final transient ProcessServices services;
  private final transient MailboxExecutor mailbox;
  private final transient SubtaskLink link;
  private final transient EmissionQueue<Request> queue;
  private final transient TenantQuota quota;
  private final transient FailedCall failedCall = new FailedCall();

  private transient RequestsState state;
  private transient BroadcastState<String, byte[]> versionsState;
  private transient SavedVersions versions;
  private transient ModelChanges modelChanges;
  private transient boolean objectReuse;
  private transient TaskModels models;
  private transient PromptScreen.Use screen;
  private transient DiffusionMetrics meters;
  private transient RequestResources resources;
  private transient RequestFactory requests;
  private transient ResultOutput results;
  private transient Probation probation;

  /** Null where requests are no frames of streams. */
  private transient LiveFrames live;

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
    this.quota = new TenantQuota(settings.tenants(), queue);
    this.link =
        new SubtaskLink(
            mailbox,
            getProcessingTimeService(),
            getContainingTask().getEnvironment(),
            getOperatorID());
  }

  // ------------------------------------------------------------------ life

  @Override
  public void initializeState(StateInitializationContext context) throws Exception {
    super.initializeState(context);
    OperatorStateStore store = context.getOperatorStateStore();
    state = RequestsState.restore(store);
    versionsState = store.getBroadcastState(SavedVersions.STATE);
    versions = SavedVersions.restore(versionsState);
  }

  @Override
  public void open() throws Exception {
    super.open();
    gate = CapacityGate.install(getContainingTask(), this::isFull);
    objectReuse = getExecutionConfig().isObjectReuseEnabled();
    int subtask = getRuntimeContext().getTaskInfo().getIndexOfThisSubtask();
    if (subtask == 0) { // once for all subtasks, which have the same shape
      JobShape.of(getContainingTask(), gate != null).log();
    }
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
    TaskManagerRuntimeInfo taskManager = getContainingTask().getEnvironment().getTaskManagerInfo();
    modelChanges =
        new ModelChanges(
            models,
            new RefusedModelEvents(
                link,
                meters,
                getRuntimeContext().getTaskInfo(),
                taskManager.getTaskManagerExternalAddress(),
                failure -> output.collect(FAILURES, new StreamRecord<>(failure))),
            versions.events());
    list.names().forEach(name -> meters.model(name, () -> models.counts(name)));
    resources =
        RequestResources.open(
            services,
            settings,
            getRuntimeContext(),
            getOperatorID(),
            taskManager.getTmpDirectories());
    requests =
        new RequestFactory(
            new SubtaskHost(settings, link, models, meters, resources, failedCall, new Way()));
    results = new ResultOutput(output, meters, objectReuse);
    probation =
        new Probation(
            new CoordinatorLine(link, getRuntimeContext().getUserCodeClassLoader()),
            CoordinatorRequest.Speaker.of(
                getContainingTask().getEnvironment(), getOperatorID(), subtask),
            settings.capacity());
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

  private void resumeRestored() throws Exception {
    for (InFlight item : state.restored()) {
      admit(requests.restored(item), false);
    }
    state.resumed();
    if (live != null) {
      for (LiveFrames.Restored frame : live.restored()) {
        Request request = requests.restored(frame.item());
        live.restore(request, frame.id());
        admit(request, false);
      }
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
      if (resources != null) {
        resources.close();
      }
      queue.requests().forEach(Request::discard);
    } finally {
      if (screen != null) {
        screen.close();
      }
      if (probation != null) {
        failedCall.tell(probation);
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
    admit(requests.arrived(event, timestamp), true);
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

  /** What was taken in and not put out, the oldest first; task thread. */
  final List<Request> requestsInFlight() {
    return queue.requests();
  }

  /**
   * @param arrives false for one that was admitted before a restart, and is not refused now
   */
  private void admit(Request request, boolean arrives) throws Exception {
    Optional<String> overQuota = arrives ? quota.exceededBy(request) : Optional.empty();
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
    } else if (overQuota.isPresent()) {
      request.fail(FailureReason.QUOTA_EXCEEDED, overQuota.get());
    } else if (isFrame(request)) {
      live.admit(request);
    } else {
      probation.admit(request);
    }
  }

  private boolean isFrame(Request request) {
    return live != null && live.has(request);
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
        results.emit(signals);
      } else {
        emit((Request) next);
        resultOut = true;
      }
      if (resultOut && queue.hasReady()) {
        link.mail(this::emitReady, "next result");
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

  /** Whether results are texts; else they are images. */
  abstract boolean emitsTexts();

  private void emit(Request request) throws Exception {
    sizeChanged();
    if (live != null) {
      live.emitted(request);
    }
    results.emit(request);
  }

  // ------------------------------------------------------------------ state

  @Override
  public void snapshotState(StateSnapshotContext context) throws Exception {
    super.snapshotState(context);
    updateGate();
    List<InFlight> items = new ArrayList<>();
    for (Request request : queue.requests()) {
      if (!isFrame(request)) {
        items.add(request.asFarAsItCame());
      }
    }
    if (live != null) {
      live.save();
    }
    state.save(items);
    if (modelChanges != null) {
      versions = new SavedVersions(models.versions(), modelChanges.known());
    }
    versions.save(versionsState);
    link.mail(state::letGo, "saved requests are let go");
  }

  // ------------------------------------------------------------------ lines to others

  /** One more event was read, as a test's job manager would bring it; task thread. */
  final void modelEvent(ModelEvent event) {
    modelChanges.read(EventCodec.models().encode(event));
  }

  private final class Session implements SessionListener {
    @Override
    public void onCall(CallReport report) {
      meters.called(report);
    }

    @Override
    public void onDeviceFailed(BatchingException cause) {
      link.failTask("The device failed: " + cause.getMessage(), cause);
    }
  }

  /** Reads what hangs on a board in the job manager, from now on; task thread. */
  final void feed(String board, Consumer<byte[]> read) {
    new ControlFeed(board, link, read).ask();
  }

  /** The way of requests out of this subtask. */
  private final class Way implements SubtaskHost.Way {
    @Override
    public boolean emitsTexts() {
      return DiffusionOperator.this.emitsTexts();
    }

    @Override
    public void ended(Request request) throws Exception {
      request.release();
      probation.ended(request);
      if (live != null) {
        live.answered(request);
      }
      queue.complete(request);
      emitReady();
    }

    @Override
    public void emit(StreamRecord<ProgressEvent> progress) {
      output.collect(PROGRESS, progress);
    }
  }
}
