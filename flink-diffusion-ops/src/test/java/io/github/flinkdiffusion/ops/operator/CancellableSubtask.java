/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ModelList;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Queue;
import org.apache.flink.api.common.serialization.SerializerConfigImpl;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.mailbox.Mail;
import org.apache.flink.streaming.runtime.tasks.mailbox.TaskMailbox;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;

/**
 * One subtask of the operator that knows of cancellations; the test delivers its mail, and
 * cancellations as the job manager would.
 */
final class CancellableSubtask implements AutoCloseable {
  private static final int MAX_PARALLELISM = 16;

  final OneInputStreamOperatorTestHarness<PromptEvent, ImageEvent> harness;
  private final ManualDevices devices;

  CancellableSubtask(
      PipelineFactory pipelines,
      DiffusionSettings settings,
      ManualDevices devices,
      int parallelism,
      int index)
      throws Exception {
    this.devices = devices;
    harness =
        new OneInputStreamOperatorTestHarness<>(
            new DiffusionOperatorFactory.OfRequests<>(
                RequestKind.PROMPTS,
                ModelList.of(pipelines),
                settings,
                "board",
                null,
                devices.services),
            MAX_PARALLELISM,
            parallelism,
            index);
    harness.setup(
        new AvroTypeInfo<>(ImageEvent.class).createSerializer(new SerializerConfigImpl()));
  }

  CancellableSubtask open() throws Exception {
    harness.open();
    return this;
  }

  CancellableSubtask restore(OperatorSubtaskState state) throws Exception {
    harness.initializeState(state);
    harness.open();
    return this;
  }

  @SuppressWarnings("unchecked") // it was made for prompts
  CancellableOperator<PromptEvent> operator() {
    return (CancellableOperator<PromptEvent>) harness.getOperator();
  }

  void prompt(PromptEvent prompt, long time) throws Exception {
    operator().processElement(new StreamRecord<>(prompt, time));
  }

  void cancel(String id, long time) {
    cancel(CancelEvent.newBuilder().setId(id).build(), OptionalLong.of(time));
  }

  void cancel(CancelEvent event, OptionalLong time) {
    operator().cancel(new Cancellation(event, time));
  }

  /** Delivers one mail; false when there is none. */
  boolean deliverMail() throws Exception {
    Optional<Mail> mail = harness.getTaskMailbox().tryTake(TaskMailbox.MIN_PRIORITY);
    if (mail.isPresent()) {
      mail.get().run();
    }
    return mail.isPresent();
  }

  /** Until device, encoders and mailbox have nothing to do any more. */
  void settle() throws Exception {
    boolean busy = true;
    while (busy) {
      busy = devices.deviceCall();
      while (devices.encodeOne()) {
        busy = true;
      }
      while (deliverMail()) {}
    }
  }

  List<ImageEvent> images() {
    return harness.extractOutputValues();
  }

  List<String> imageIds() {
    return images().stream().map(ImageEvent::getId).toList();
  }

  List<FailureEvent> failures() {
    Queue<StreamRecord<FailureEvent>> failures = harness.getSideOutput(DiffusionOperator.FAILURES);
    return failures == null ? List.of() : failures.stream().map(StreamRecord::getValue).toList();
  }

  @Override
  public void close() throws Exception {
    harness.close();
  }
}
