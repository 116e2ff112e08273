/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import java.io.IOException;
import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.Collection;
import java.util.concurrent.CompletableFuture;
import java.util.function.BooleanSupplier;
import org.apache.flink.runtime.checkpoint.CheckpointException;
import org.apache.flink.runtime.checkpoint.channel.ChannelStateWriter;
import org.apache.flink.runtime.io.AvailabilityProvider;
import org.apache.flink.runtime.metrics.TimerGauge;
import org.apache.flink.runtime.metrics.TimerGauge.StartStopListener;
import org.apache.flink.streaming.runtime.io.DataInputStatus;
import org.apache.flink.streaming.runtime.io.StreamInputProcessor;
import org.apache.flink.streaming.runtime.tasks.StreamTask;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps the task from reading input while the operator is full. The task's thread then waits in its
 * mailbox, outside of any record, where checkpoints, savepoints, timers and events reach it; inside
 * of a record it could do nothing but wait for a request to leave.
 *
 * <p>Flink has no public way to say "no input now". So the gate stands before the task's {@link
 * StreamInputProcessor} and beside the availability of the changelog state backend, the one thing
 * that suspends a task and still counts as busy time. That is what it should count as: the operator
 * is the bottleneck, and an autoscaler looks for the busy task. Where Flink's fields are not as
 * expected there is no gate, and the operator waits inside of a record.
 *
 * <p>The clocks by which Flink declares a source or a split idle stand still while the gate is
 * closed, as they do under back-pressure: nothing is missing, it is only not read.
 *
 * <p>Used by the task's thread alone.
 */
final class CapacityGate {
  private static final Logger LOG = LoggerFactory.getLogger(CapacityGate.class);

  private final BooleanSupplier full;
  private final BooleanSupplier stopping;
  private final IdleClocks clocks;
  private CompletableFuture<?> opens = AvailabilityProvider.AVAILABLE;

  private CapacityGate(BooleanSupplier full, BooleanSupplier stopping, IdleClocks clocks) {
    this.full = full;
    this.stopping = stopping;
    this.clocks = clocks;
  }

  /**
   * Puts a gate before the task's input; in {@code open()} of an operator of the task.
   *
   * @param full whether the operator takes no request now
   * @return null when the task does not read its input as expected: a source of Flink's old kind,
   *     or another version of Flink, which is logged
   */
  static CapacityGate install(StreamTask<?, ?> task, BooleanSupplier full) {
    try {
      Field processor = field(StreamTask.class, "inputProcessor");
      Field changelog = field(StreamTask.class, "changelogWriterAvailabilityProvider");
      Field savepoint = field(StreamTask.class, "syncSavepoint");
      Field listeners = field(TimerGauge.class, "startStopListeners");
      StreamInputProcessor input = (StreamInputProcessor) processor.get(task);
      if (input == null) {
        return null;
      }
      AvailabilityProvider output = (AvailabilityProvider) changelog.get(task);
      CapacityGate gate =
          new CapacityGate(
              full,
              () -> isSet(savepoint, task),
              IdleClocks.in(
                  task.getEnvironment()
                      .getMetricGroup()
                      .getIOMetricGroup()
                      .getSoftBackPressuredTimePerSecond(),
                  listeners));
      changelog.set(task, gate.new Output(output));
      processor.set(task, gate.new Input(input));
      return gate;
    } catch (ReflectiveOperationException | RuntimeException e) {
      LOG.warn(
          "This version of Flink reads a task's input differently from 2.2 and 2.3. While the"
              + " operator is full, checkpoints wait until a request is finished.",
          e);
      return null;
    }
  }

  private static Field field(Class<?> type, String name) throws NoSuchFieldException {
    Field field = type.getDeclaredField(name);
    field.setAccessible(true);
    return field;
  }

  private static boolean isSet(Field field, Object of) {
    try {
      return field.get(of) != null;
    } catch (IllegalAccessException e) {
      throw new IllegalStateException(e); // it was made accessible
    }
  }

  /**
   * Opens or closes, after what it depends on has changed: a request came or left, or a checkpoint
   * begins. A stop with savepoint opens it for good. No record can come any more then, but the end
   * of the input has to.
   */
  void update() {
    boolean close = full.getAsBoolean() && !stopping.getAsBoolean();
    if (close && !isClosed()) {
      opens = new CompletableFuture<>();
      clocks.pause();
    } else if (!close && isClosed()) {
      CompletableFuture<?> waiting = opens;
      opens = AvailabilityProvider.AVAILABLE;
      clocks.resume();
      waiting.complete(null);
    }
  }

  boolean isClosed() {
    return opens != AvailabilityProvider.AVAILABLE;
  }

  /** While closed it gives nothing, but calls itself available, or the task would be idle. */
  private final class Input implements StreamInputProcessor {
    private final StreamInputProcessor inner;

    Input(StreamInputProcessor inner) {
      this.inner = inner;
    }

    @Override
    public DataInputStatus processInput() throws Exception {
      return isClosed() ? DataInputStatus.MORE_AVAILABLE : inner.processInput();
    }

    @Override
    public CompletableFuture<?> getAvailableFuture() {
      return isClosed() ? AvailabilityProvider.AVAILABLE : inner.getAvailableFuture();
    }

    @Override
    public CompletableFuture<Void> prepareSnapshot(ChannelStateWriter writer, long checkpointId)
        throws CheckpointException {
      return inner.prepareSnapshot(writer, checkpointId);
    }

    @Override
    public void close() throws IOException {
      inner.close();
    }
  }

  /** What the task waits for while the gate is closed; also ends a batch of records. */
  private final class Output implements AvailabilityProvider {
    /** Null without a changelog state backend. */
    private final AvailabilityProvider inner;

    Output(AvailabilityProvider inner) {
      this.inner = inner;
    }

    @Override
    public CompletableFuture<?> getAvailableFuture() {
      return isClosed() || inner == null ? opens : inner.getAvailableFuture();
    }
  }

  /** What listens to the task's back-pressure: the clocks of sources' and splits' activity. */
  private static final class IdleClocks extends ArrayList<StartStopListener> {
    private static final long serialVersionUID = 1L;

    /** Its lock is the one that Flink holds when it changes the list. */
    private final transient TimerGauge gauge;

    private boolean paused;

    private IdleClocks(TimerGauge gauge, Collection<StartStopListener> listeners) {
      super(listeners);
      this.gauge = gauge;
    }

    @SuppressWarnings("unchecked") // as the field is declared
    static IdleClocks in(TimerGauge gauge, Field listeners) throws IllegalAccessException {
      synchronized (gauge) {
        IdleClocks clocks =
            new IdleClocks(gauge, (Collection<StartStopListener>) listeners.get(gauge));
        listeners.set(gauge, clocks);
        return clocks;
      }
    }

    void pause() {
      synchronized (gauge) {
        paused = true;
        forEach(StartStopListener::markStart);
      }
    }

    void resume() {
      synchronized (gauge) {
        paused = false;
        forEach(StartStopListener::markEnd);
      }
    }

    /** A split may come while the gate is closed. */
    @Override
    public boolean add(StartStopListener listener) {
      if (paused) {
        listener.markStart();
      }
      return super.add(listener);
    }

    @Override
    public boolean remove(Object listener) {
      boolean removed = super.remove(listener);
      if (removed && paused) {
        ((StartStopListener) listener).markEnd();
      }
      return removed;
    }
  }
}
