/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ModelList;
import io.github.flinkdiffusion.ops.serving.ProcessServices;
import java.util.Optional;
import java.util.OptionalLong;
import org.apache.flink.api.common.state.BroadcastState;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;

/**
 * Its input is requests; which of them are taken back it reads from a {@link ControlBoard}, so that
 * it has one input only: a second, broadcast one would rule out unaligned checkpoints and being
 * chained to a source.
 *
 * <p>A cancellation ends what is in flight here, and is remembered for a request that was sent
 * before it and comes later ({@link Cancellations}): under back-pressure that is where most
 * requests are. It comes by mail, also while the operator is full or works off its last requests.
 *
 * @param <E> the requests' event
 */
final class CancellableOperator<E> extends RequestOperator<E> {
  private static final long serialVersionUID = 1L;

  private final String board;

  private final transient Cancellations cancellations = new Cancellations();

  /** Broadcast state, because every subtask has the same and a new one needs it, too. */
  private transient BroadcastState<String, byte[]> state;

  CancellableOperator(
      RequestKind<E> kind,
      StreamOperatorParameters<ImageEvent> parameters,
      ModelList list,
      DiffusionSettings settings,
      String modelBoard,
      ProcessServices services,
      String board) {
    super(kind, parameters, list, settings, modelBoard, services);
    this.board = board;
  }

  @Override
  public void initializeState(StateInitializationContext context) throws Exception {
    super.initializeState(context);
    state = context.getOperatorStateStore().getBroadcastState(Cancellations.STATE);
    cancellations.restore(state);
  }

  @Override
  public void open() throws Exception {
    super.open();
    feed(board, encoded -> cancel(Cancellation.decode(encoded)));
  }

  @Override
  public void snapshotState(StateSnapshotContext context) throws Exception {
    super.snapshotState(context);
    cancellations.save(state);
  }

  /** It may have come before: after a failure the relay puts up again what it knows. */
  void cancel(Cancellation cancellation) {
    OptionalLong time = cancellation.timestamp();
    if (time.isPresent() && cancellations.knows(cancellation.event(), time.getAsLong())) {
      return;
    }
    if (!cancellation.takeBack(requestsInFlight())) {
      meters().unknownCancellations.inc();
    }
    if (time.isPresent()) {
      cancellations.remember(cancellation.event(), time.getAsLong());
    }
  }

  @Override
  Optional<CancelEvent> cancellationOf(String id, OptionalLong timestamp) {
    return timestamp.isPresent()
        ? cancellations.after(id, timestamp.getAsLong())
        : Optional.empty();
  }
}
