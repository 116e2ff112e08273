/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.TextEvent;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import org.apache.flink.api.common.serialization.SerializerConfigImpl;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.mailbox.Mail;
import org.apache.flink.streaming.runtime.tasks.mailbox.TaskMailbox;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.apache.flink.util.OutputTag;

/**
 * One subtask of the operator in Flink's harness, whose mail the test delivers.
 *
 * @param <S> the type itself
 */
abstract class OperatorSubtask<
        T, H extends OneInputStreamOperatorTestHarness<T, ImageEvent>, S extends AutoCloseable>
    implements AutoCloseable {
  static final int MAX_PARALLELISM = 16;

  final H harness;

  OperatorSubtask(H harness) {
    this.harness = harness;
    harness.setup(
        new AvroTypeInfo<>(ImageEvent.class).createSerializer(new SerializerConfigImpl()));
  }

  abstract S self();

  final S open() throws Exception {
    harness.open();
    return self();
  }

  final S restore(OperatorSubtaskState state) throws Exception {
    harness.initializeState(state);
    harness.open();
    return self();
  }

  final OperatorSubtaskState snapshot() throws Exception {
    return harness.snapshot(1, 1);
  }

  final DiffusionOperator operator() {
    return (DiffusionOperator) harness.getOperator();
  }

  final DiffusionMetrics meters() {
    return operator().meters();
  }

  /** Delivers one mail; false when there is none. */
  final boolean deliverMail() throws Exception {
    Optional<Mail> mail = harness.getTaskMailbox().tryTake(TaskMailbox.MIN_PRIORITY);
    if (mail.isPresent()) {
      mail.get().run();
    }
    return mail.isPresent();
  }

  final void deliverAllMail() throws Exception {
    while (deliverMail()) {}
  }

  /** One call of the device, one piece of work of the pool, one mail; false when all rest. */
  final boolean progress(ManualDevices devices) throws Exception {
    boolean busy = devices.deviceCall();
    busy |= devices.encodeOne();
    return busy | deliverMail();
  }

  /** Until device, pool and mailbox have nothing to do any more. */
  final void settle(ManualDevices devices) throws Exception {
    boolean busy = true;
    while (busy) {
      busy = devices.deviceCall();
      while (devices.encodeOne()) {
        busy = true;
      }
      deliverAllMail();
    }
  }

  final List<ImageEvent> images() {
    return harness.extractOutputValues();
  }

  final List<String> imageIds() {
    return images().stream().map(ImageEvent::getId).toList();
  }

  final List<FailureEvent> failures() {
    return sideOutput(DiffusionOperator.FAILURES);
  }

  final List<TextEvent> texts() {
    return sideOutput(DiffusionOperator.TEXTS);
  }

  final List<ProgressEvent> progressEvents() {
    return sideOutput(DiffusionOperator.PROGRESS);
  }

  private <E> List<E> sideOutput(OutputTag<E> tag) {
    Queue<StreamRecord<E>> records = harness.getSideOutput(tag);
    return records == null
        ? List.of()
        : new ArrayList<>(records.stream().map(StreamRecord::getValue).toList());
  }

  @Override
  public final void close() throws Exception {
    harness.close();
  }
}
