/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.RejectedExecutionException;
import org.apache.flink.api.common.operators.MailboxExecutor;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.runtime.jobgraph.OperatorID;
import org.apache.flink.runtime.operators.coordination.CoordinationResponse;
import org.apache.flink.runtime.operators.coordination.OperatorCoordinator;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.AbstractStreamOperatorFactory;
import org.apache.flink.streaming.api.operators.BoundedOneInput;
import org.apache.flink.streaming.api.operators.CoordinatedOperatorFactory;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperatorFactory;
import org.apache.flink.streaming.api.operators.StreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.ProcessingTimeService;
import org.apache.flink.util.SerializedValue;

/**
 * Puts cancellations up on a {@link CancellationBoard}; it has no output.
 *
 * <p>One request at a time is under way, and at most {@value #MOST_PENDING} cancellations wait for
 * it; then it takes no input. A request that fails is sent again after a second.
 *
 * <p>Its state is the last {@link CancellationBoard#MOST} that it has put up, which it puts up
 * again when it is restored: the subtasks' state may lack them, and for those who know them they
 * mean nothing new. Without an event time nobody can tell whether they are new; these are in the
 * next checkpoint only.
 */
final class CancellationRelay extends AbstractStreamOperator<Void>
    implements OneInputStreamOperator<CancelEvent, Void>, BoundedOneInput {
  private static final long serialVersionUID = 1L;

  static final int MOST_PENDING = 1_000;

  /** A reason is for people; a longer one is cut, so that the board stays small. */
  static final int LONGEST_REASON = 1_000;

  private static final Duration AGAIN = Duration.ofSeconds(1);

  private static final String STATE_NAME = "diffusion-relayed-cancellations";

  private final String board;
  private final transient MailboxExecutor mailbox;

  /** With event time. */
  private final transient LastCancellations known =
      new LastCancellations(CancellationBoard.MOST, CancellationBoard.MOST_BYTES);

  /** Without, since the last checkpoint. */
  private final transient LastCancellations recent =
      new LastCancellations(CancellationBoard.MOST, CancellationBoard.MOST_BYTES);

  private final transient Deque<byte[]> pending = new ArrayDeque<>();
  private transient boolean underWay;
  private transient ListState<byte[]> state;

  private CancellationRelay(StreamOperatorParameters<Void> parameters, String board) {
    super(parameters);
    this.board = board;
    this.mailbox = parameters.getMailboxExecutor();
  }

  @Override
  public void initializeState(StateInitializationContext context) throws Exception {
    super.initializeState(context);
    state =
        context
            .getOperatorStateStore()
            .getListState(
                new ListStateDescriptor<>(
                    STATE_NAME, PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO));
    for (byte[] cancellation : state.get()) {
      remember(Cancellation.decode(cancellation), cancellation);
    }
  }

  @Override
  public void open() throws Exception {
    super.open();
    pending.addAll(known.all());
    pending.addAll(recent.all());
    putUp();
  }

  @Override
  public void processElement(StreamRecord<CancelEvent> element) throws Exception {
    while (pending.size() >= MOST_PENDING) {
      mailbox.yield();
    }
    Cancellation cancellation =
        new Cancellation(
            bounded(element.getValue()),
            element.hasTimestamp()
                ? OptionalLong.of(element.getTimestamp())
                : OptionalLong.empty());
    byte[] encoded = cancellation.encode();
    remember(cancellation, encoded);
    pending.add(encoded);
    putUp();
  }

  private static CancelEvent bounded(CancelEvent event) {
    String reason = event.getReason();
    return reason == null || reason.length() <= LONGEST_REASON
        ? event
        : CancelEvent.newBuilder(event).setReason(reason.substring(0, LONGEST_REASON)).build();
  }

  private void remember(Cancellation cancellation, byte[] encoded) {
    (cancellation.timestamp().isPresent() ? known : recent).add(encoded);
  }

  /** Those that wait, unless a request is under way; its answer is followed by the next. */
  private void putUp() {
    if (underWay || pending.isEmpty()) {
      return;
    }
    underWay = true;
    send(
        new CancellationRequest.Put(
            board, LastCancellations.batch(pending, CancellationBoard.MESSAGE_BYTES)));
  }

  private void send(CancellationRequest.Put request) {
    CompletableFuture<CoordinationResponse> done;
    try {
      done =
          getContainingTask()
              .getEnvironment()
              .getOperatorCoordinatorEventGateway()
              .sendRequestToCoordinator(getOperatorID(), new SerializedValue<>(request));
    } catch (IOException | RuntimeException e) {
      done = CompletableFuture.failedFuture(e);
    }
    done.whenComplete(
        (any, failure) -> {
          try {
            mailbox.execute(() -> answered(request, failure), "cancellations are up");
          } catch (RejectedExecutionException e) {
            LOG.debug("The task has ended before.", e);
          }
        });
  }

  private void answered(CancellationRequest.Put request, Throwable failure) {
    if (failure == null) {
      underWay = false;
      putUp();
      return;
    }
    // For as long as the task lives: Flink itself ends a task whose job manager is gone.
    LOG.warn(
        "The job manager did not take {} cancellations. Sending them again in {}.",
        request.cancellations().size(),
        AGAIN,
        failure);
    ProcessingTimeService time = getProcessingTimeService();
    time.registerTimer(time.getCurrentProcessingTime() + AGAIN.toMillis(), now -> send(request));
  }

  @Override
  public void snapshotState(StateSnapshotContext context) throws Exception {
    super.snapshotState(context);
    List<byte[]> saved = new ArrayList<>(known.all());
    saved.addAll(recent.all());
    recent.clear();
    state.update(saved);
  }

  @Override
  public void endInput() throws Exception {
    while (underWay) { // the last answer is followed by no other request
      mailbox.yield();
    }
  }

  /** Carries it in the job. */
  static final class Factory extends AbstractStreamOperatorFactory<Void>
      implements OneInputStreamOperatorFactory<CancelEvent, Void>,
          CoordinatedOperatorFactory<Void> {
    private static final long serialVersionUID = 1L;

    private final String board;

    Factory(String board) {
      this.board = board;
    }

    @Override
    public OperatorCoordinator.Provider getCoordinatorProvider(String name, OperatorID id) {
      return new CancellationCoordinator.Provider(id);
    }

    @Override
    @SuppressWarnings("unchecked") // Flink asks for the class that getStreamOperatorClass returned
    public <T extends StreamOperator<Void>> T createStreamOperator(
        StreamOperatorParameters<Void> parameters) {
      return (T) new CancellationRelay(parameters, board);
    }

    @Override
    @SuppressWarnings("rawtypes")
    public Class<? extends StreamOperator> getStreamOperatorClass(ClassLoader classLoader) {
      return CancellationRelay.class;
    }
  }
}
