/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.serving.LiveOptions;
import io.github.flinkdiffusion.ops.serving.LiveSettings;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Consumer;
import org.apache.flink.api.common.state.KeyedStateStore;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.common.typeutils.base.LongSerializer;
import org.apache.flink.runtime.state.KeyedStateBackend;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.InternalTimer;
import org.apache.flink.streaming.api.operators.InternalTimerService;
import org.apache.flink.streaming.api.operators.Triggerable;

/**
 * Frames of streams, keyed by their stream: of each stream, one frame runs at a time, so that the
 * next one can look back at its result, and results leave in the frames' order.
 *
 * <p><b>State</b> is keyed, because a stream's frames and what is remembered of it must stay
 * together when the job is rescaled: of each stream, the last frame's number; the last frame that
 * was generated, with its result; and all frames that are not answered. A frame that was begun
 * begins again after a restart, from the same previous result, since it has few steps.
 *
 * <p>Task thread only.
 */
final class LiveFrames implements Triggerable<String, VoidNamespace> {
  private static final String STREAMS = "diffusion-live-streams";
  private static final String PREVIOUS = "diffusion-live-previous";
  private static final String PENDING = "diffusion-live-pending";
  private static final String TIMERS = "diffusion-live-timers";

  private final AbstractStreamOperator<?> operator;
  private final LiveSettings settings;
  private final Consumer<Request> begin;
  private final ValueState<String> streams;
  private final ValueState<byte[]> previous;
  private final MapState<Long, InFlight> pending;
  private final InternalTimerService<VoidNamespace> timers;

  /** Frames that are not emitted. */
  private final Map<Request, Frame> frames = new IdentityHashMap<>();

  /** Of each stream that has any, the frames that have no outcome; the first one runs. */
  private final Map<String, Deque<Request>> lines = new HashMap<>();

  private volatile int remembered;
  private volatile long repeated;

  private static final class Frame {
    final String key;
    final FrameId id;
    boolean answered;

    Frame(FrameId id) {
      this.key = id.key();
      this.id = id;
    }
  }

  /** Why a frame does not join its stream. */
  record Refusal(FailureReason reason, String message) {}

  /**
   * @param begin begins a frame whose turn has come
   */
  LiveFrames(AbstractStreamOperator<?> operator, LiveSettings settings, Consumer<Request> begin)
      throws Exception {
    this.operator = operator;
    this.settings = settings;
    this.begin = begin;
    KeyedStateStore store = operator.getKeyedStateStore();
    streams = store.getState(new ValueStateDescriptor<>(STREAMS, Types.STRING));
    previous =
        store.getState(
            new ValueStateDescriptor<>(
                PREVIOUS, PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO));
    pending =
        store.getMapState(
            new MapStateDescriptor<>(
                PENDING, LongSerializer.INSTANCE, InFlightTypeSerializer.INSTANCE));
    timers = operator.getInternalTimerService(TIMERS, VoidNamespaceSerializer.INSTANCE, this);
    remembered = keys(STREAMS).size();
  }

  private List<String> keys(String state) throws Exception {
    KeyedStateBackend<String> backend = operator.getKeyedStateBackend();
    try (var keys = backend.getKeys(state, VoidNamespace.INSTANCE)) {
      return keys.distinct().toList();
    }
  }

  int remembered() {
    return remembered;
  }

  long repeated() {
    return repeated;
  }

  // ------------------------------------------------------------------ a frame's way

  /**
   * One that was admitted before a restart.
   *
   * @param id of the frame
   */
  record Restored(FrameId id, InFlight item) {}

  /** What was admitted before a restart, by stream and in the frames' order. */
  List<Restored> restored() throws Exception {
    List<Restored> all = new ArrayList<>();
    for (String key : keys(PENDING)) {
      operator.setCurrentKey(key);
      Map<Long, InFlight> ofStream = new TreeMap<>();
      for (Map.Entry<Long, InFlight> entry : pending.entries()) {
        ofStream.put(entry.getKey(), entry.getValue());
      }
      ofStream.forEach((number, item) -> all.add(new Restored(FrameId.ofKey(key, number), item)));
    }
    return all;
  }

  /** One that was admitted before a restart. */
  void restore(Request request, FrameId id) {
    Frame frame = new Frame(id);
    frames.put(request, frame);
    if (request instanceof FinishedRequest) {
      frame.answered = true;
    } else {
      lines.computeIfAbsent(frame.key, key -> new ArrayDeque<>()).add(request);
    }
  }

  /**
   * A request that has just come; its key is the current one.
   *
   * @return why it cannot be done, if it is a frame that does not join its stream
   */
  Optional<Refusal> arrived(Request request) throws Exception {
    if (!(request.event.event() instanceof ImageTaskEvent task)) {
      return Optional.empty();
    }
    Optional<FrameId> found;
    try {
      found = FrameId.of(task);
    } catch (InvalidRequestException e) {
      return invalid(e.getMessage());
    }
    if (found.isEmpty()) {
      return Optional.empty();
    }
    FrameId id = found.get();
    String known = streams.value();
    if (known == null && remembered >= settings.maxStreams()) {
      return Optional.of(
          new Refusal(
              FailureReason.QUOTA_EXCEEDED,
              "The frame begins stream '%s', but this subtask remembers %d streams, which is the maximum (%s). Send it again later."
                  .formatted(id.stream(), remembered, LiveOptions.MAX_STREAMS.key())));
    }
    long now = timers.currentProcessingTime();
    if (known != null) {
      long last = LiveStream.parse(known).lastFrame();
      if (id.number() <= last) {
        return invalid(
            "Frame %d of stream '%s' came after frame %d. The numbers of a stream's frames must rise. Use another name for a stream that begins again."
                .formatted(id.number(), id.stream(), last));
      }
    } else {
      remembered++;
      timers.registerProcessingTimeTimer(VoidNamespace.INSTANCE, now + settings.ttlMillis());
    }
    streams.update(new LiveStream(id.number(), now).json());
    pending.put(id.number(), new InFlight.Task(request.timestamp, task, TaskProgress.NONE, 0));
    restore(request, id);
    return Optional.empty();
  }

  private static Optional<Refusal> invalid(String message) {
    return Optional.of(new Refusal(FailureReason.INVALID_REQUEST, message));
  }

  /** Whether it is a frame, whose state is here. */
  boolean has(Request request) {
    return frames.containsKey(request);
  }

  /** It may begin as soon as the frames before it are answered. */
  void admit(Request request) {
    Frame frame = frames.get(request);
    if (lines.get(frame.key).peek() == request) {
      begin(request, frame);
    }
  }

  private void begin(Request request, Frame frame) {
    operator.setCurrentKey(frame.key);
    ImageTaskRequest task = (ImageTaskRequest) request;
    task.frame(
        new FrameWork(
            settings, frame.id, (ImageTaskEvent) request.event.event(), previous().orElse(null)));
    begin.accept(request);
  }

  private Optional<PreviousFrame> previous() {
    try {
      return Optional.ofNullable(previous.value()).map(PreviousFrame::decode);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** It has its outcome, and may not be emitted yet. */
  void answered(Request request) throws Exception {
    Frame frame = frames.get(request);
    if (frame == null || frame.answered) {
      return;
    }
    frame.answered = true;
    operator.setCurrentKey(frame.key);
    remember(request, frame);
    Deque<Request> line = lines.get(frame.key);
    boolean ran = line.peek() == request;
    line.remove(request);
    if (line.isEmpty()) {
      lines.remove(frame.key);
    } else if (ran) {
      begin(line.peek(), frames.get(line.peek()));
    }
  }

  private void remember(Request request, Frame frame) throws Exception {
    Outcome outcome = request.outcome.join();
    if (outcome instanceof Outcome.Picture picture) {
      FrameWork work = ((ImageTaskRequest) request).frame();
      previous.update(work.next(picture.event()).encoded());
      repeated += work.isRepeated() ? 1 : 0;
    } else if (outcome instanceof Outcome.Failure failure
        && failure.event().getReason() == FailureReason.PAYLOAD) {
      // It may be the previous result that is gone: the next frame must not depend on it for ever.
      previous.clear();
    }
  }

  /** Its result is emitted. */
  void emitted(Request request) throws Exception {
    Frame frame = frames.remove(request);
    if (frame != null) {
      operator.setCurrentKey(frame.key);
      pending.remove(frame.id.number());
    }
  }

  /** Before a checkpoint: results that wait to be emitted are not made again after it. */
  void save() throws Exception {
    for (Map.Entry<Request, Frame> entry : frames.entrySet()) {
      Frame frame = entry.getValue();
      if (frame.answered) {
        operator.setCurrentKey(frame.key);
        pending.put(frame.id.number(), entry.getKey().asFarAsItCame());
      }
    }
  }

  // ------------------------------------------------------------------ time

  @Override
  public void onProcessingTime(InternalTimer<String, VoidNamespace> timer) throws Exception {
    String known = streams.value();
    if (known == null) {
      return;
    }
    long now = timers.currentProcessingTime();
    long forgotten = LiveStream.parse(known).seenMillis() + settings.ttlMillis();
    if (forgotten > now || !pending.isEmpty()) {
      timers.registerProcessingTimeTimer(
          VoidNamespace.INSTANCE, forgotten > now ? forgotten : now + settings.ttlMillis());
      return;
    }
    streams.clear();
    previous.clear();
    remembered--;
  }

  @Override
  public void onEventTime(InternalTimer<String, VoidNamespace> timer) {}
}
