package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import java.util.Optional;
import java.util.OptionalLong;
import org.apache.flink.api.common.state.BroadcastState;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.streaming.api.operators.BoundedMultiInput;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;
import org.apache.flink.streaming.api.operators.TwoInputStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;

/**
 * Its first input is requests, its second says which of them are taken back; all subtasks get all
 * of the second.
 *
 * <p>A cancellation ends what is in flight here, and is remembered for a request that was sent
 * before it and comes later ({@link Cancellations}): under back-pressure that is where most
 * requests are. The second input has no say in event time.
 *
 * <p>While the operator is full it reads neither input; when one request leaves, it takes one
 * request and then a cancellation, if there is one.
 *
 * @param <E> the requests' event
 */
final class CancellableOperator<E> extends DiffusionOperator
    implements TwoInputStreamOperator<E, CancelEvent, ImageEvent>, BoundedMultiInput {
  private static final long serialVersionUID = 1L;
  private static final int REQUESTS = 1;

  private final RequestKind<E> kind;

  private final transient Cancellations cancellations = new Cancellations();
  private transient BroadcastState<String, byte[]> state;

  CancellableOperator(
      RequestKind<E> kind,
      StreamOperatorParameters<ImageEvent> parameters,
      PipelineFactory pipeline,
      DiffusionSettings settings,
      ProcessServices services) {
    super(parameters, pipeline, settings, services);
    this.kind = kind;
  }

  @Override
  public void initializeState(StateInitializationContext context) throws Exception {
    super.initializeState(context);
    state = context.getOperatorStateStore().getBroadcastState(Cancellations.STATE);
    cancellations.restore(state);
  }

  @Override
  public void snapshotState(StateSnapshotContext context) throws Exception {
    super.snapshotState(context);
    cancellations.save(state);
  }

  @Override
  public void processElement1(StreamRecord<E> element) throws Exception {
    take(kind, element);
  }

  @Override
  public void processElement2(StreamRecord<CancelEvent> element) {
    CancelEvent cancel = element.getValue();
    if (!cancelInFlight(cancel)) {
      meters().unknownCancellations.inc();
    }
    if (element.hasTimestamp()) {
      cancellations.remember(cancel, element.getTimestamp());
    }
  }

  @Override
  Optional<CancelEvent> cancellationOf(String id, OptionalLong timestamp) {
    return timestamp.isPresent()
        ? cancellations.after(id, timestamp.getAsLong())
        : Optional.empty();
  }

  @Override
  public void processWatermark1(Watermark mark) throws Exception {
    hold(mark);
  }

  @Override
  public void processWatermark2(Watermark mark) {}

  /** In place of Flink's own, which would put the statuses of both inputs together. */
  @Override
  protected void processWatermarkStatus(WatermarkStatus status, int input) throws Exception {
    if (input == REQUESTS - 1) {
      hold(status);
    }
  }

  @Override
  public void endInput(int input) throws Exception {
    if (input == REQUESTS) {
      drain();
    }
  }
}
