/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.RejectedExecutionException;
import org.apache.flink.api.common.operators.MailboxExecutor;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.runtime.jobgraph.OperatorID;
import org.apache.flink.runtime.operators.coordination.CoordinationResponse;
import org.apache.flink.runtime.operators.coordination.OperatorCoordinator;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
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
 * Puts messages to all subtasks of an operator up on a {@link ControlBoard}; it has no output.
 *
 * <p>One request at a time is under way, and at most {@value #MOST_PENDING} messages wait for it;
 * then it takes no input. A request that fails is sent again after a second.
 *
 * <p>Its state is the last {@link ControlBoard#MOST} that it has put up, which it puts up again
 * when it is restored: the subtasks' state may lack them, and for those who know them they mean
 * nothing new. Of those where nobody can tell whether they are new, only the next checkpoint has
 * them.
 *
 * @param <E> the messages' event
 */
final class ControlRelay<E> extends AbstractStreamOperator<Void>
    implements OneInputStreamOperator<E, Void>, BoundedOneInput {
  private static final long serialVersionUID = 1L;

  static final int MOST_PENDING = 1_000;

  private static final Duration AGAIN = Duration.ofSeconds(1);

  private final ControlKind<E> kind;
  private final String board;
  private final transient MailboxExecutor mailbox;

  /** Those that mean nothing new to whoever knows them. */
  private final transient LastMessages known =
      new LastMessages(ControlBoard.MOST, ControlBoard.MOST_BYTES);

  /** The others, since the last checkpoint. */
  private final transient LastMessages recent =
      new LastMessages(ControlBoard.MOST, ControlBoard.MOST_BYTES);

  private final transient Deque<byte[]> pending = new ArrayDeque<>();
  private transient boolean underWay;
  private transient ListState<byte[]> state;

  /**
   * Adds one to the job of the operator that it is for.
   *
   * @param what is put up, in a word; part of the names of board and relay
   * @param operator its name
   * @param uid of the operator; null if it has none
   * @return name of the board
   */
  static <C> String add(
      DataStream<C> events, ControlKind<C> kind, String what, String operator, String uid) {
    String board = (uid == null ? UUID.randomUUID().toString() : uid) + "/" + what;
    SingleOutputStreamOperator<Void> relay =
        events
            .transform(operator + ": " + what, Types.VOID, new Factory<>(kind, board))
            .forceNonParallel();
    if (uid != null) {
      relay.uid(uid + "-" + what);
    }
    return board;
  }

  private ControlRelay(
      StreamOperatorParameters<Void> parameters, ControlKind<E> kind, String board) {
    super(parameters);
    this.kind = kind;
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
                    kind.stateName(), PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO));
    for (byte[] message : state.get()) {
      remember(message);
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
  public void processElement(StreamRecord<E> element) throws Exception {
    while (pending.size() >= MOST_PENDING) {
      mailbox.yield();
    }
    byte[] encoded = kind.encode(element);
    remember(encoded);
    pending.add(encoded);
    putUp();
  }

  private void remember(byte[] message) {
    (kind.isKnownAgain(message) ? known : recent).add(message);
  }

  /** Those that wait, unless a request is under way; its answer is followed by the next. */
  private void putUp() {
    if (underWay || pending.isEmpty()) {
      return;
    }
    underWay = true;
    send(new ControlRequest.Put(board, LastMessages.batch(pending, ControlBoard.MESSAGE_BYTES)));
  }

  private void send(ControlRequest.Put request) {
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
            mailbox.execute(() -> answered(request, failure), "messages are up");
          } catch (RejectedExecutionException e) {
            LOG.debug("The task has ended before.", e);
          }
        });
  }

  private void answered(ControlRequest.Put request, Throwable failure) {
    if (failure == null) {
      underWay = false;
      putUp();
      return;
    }
    // For as long as the task lives: Flink itself ends a task whose job manager is gone.
    LOG.warn(
        "The job manager did not accept {} messages. Sending them again in {}.",
        request.messages().size(),
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

  /**
   * Carries it in the job.
   *
   * @param <E> the messages' event
   */
  static final class Factory<E> extends AbstractStreamOperatorFactory<Void>
      implements OneInputStreamOperatorFactory<E, Void>, CoordinatedOperatorFactory<Void> {
    private static final long serialVersionUID = 1L;

    private final ControlKind<E> kind;
    private final String board;

    Factory(ControlKind<E> kind, String board) {
      this.kind = kind;
      this.board = board;
    }

    @Override
    public OperatorCoordinator.Provider getCoordinatorProvider(String name, OperatorID id) {
      return new ControlCoordinator.Provider(id);
    }

    @Override
    @SuppressWarnings("unchecked") // Flink asks for the class that getStreamOperatorClass returned
    public <T extends StreamOperator<Void>> T createStreamOperator(
        StreamOperatorParameters<Void> parameters) {
      return (T) new ControlRelay<>(parameters, kind, board);
    }

    @Override
    @SuppressWarnings("rawtypes")
    public Class<? extends StreamOperator> getStreamOperatorClass(ClassLoader classLoader) {
      return ControlRelay.class;
    }
  }
}
