package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import org.apache.flink.api.common.serialization.SerializerConfigImpl;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.mailbox.Mail;
import org.apache.flink.streaming.runtime.tasks.mailbox.TaskMailbox;
import org.apache.flink.streaming.util.AbstractStreamOperatorTestHarness;

/** One subtask of the operator with two inputs, whose mail the test delivers. */
final class TwoInputs implements AutoCloseable {
  private static final int MAX_PARALLELISM = 16;

  final AbstractStreamOperatorTestHarness<ImageEvent> harness;
  private final ManualDevices devices;

  TwoInputs(
      PipelineFactory pipelines,
      DiffusionSettings settings,
      ManualDevices devices,
      int parallelism,
      int index)
      throws Exception {
    this.devices = devices;
    harness =
        new AbstractStreamOperatorTestHarness<>(
            new DiffusionOperatorFactory.OfRequestsAndCancellations<>(
                RequestKind.PROMPTS, pipelines, settings, devices.services),
            MAX_PARALLELISM,
            parallelism,
            index);
    harness.setup(
        new AvroTypeInfo<>(ImageEvent.class).createSerializer(new SerializerConfigImpl()));
  }

  TwoInputs open() throws Exception {
    harness.open();
    return this;
  }

  TwoInputs restore(OperatorSubtaskState state) throws Exception {
    harness.initializeState(state);
    harness.open();
    return this;
  }

  @SuppressWarnings("unchecked") // it was made for prompts
  CancellableOperator<PromptEvent> operator() {
    return (CancellableOperator<PromptEvent>) harness.getOperator();
  }

  void prompt(PromptEvent prompt, long time) throws Exception {
    operator().processElement1(new StreamRecord<>(prompt, time));
  }

  void cancel(String id, long time) {
    operator()
        .processElement2(new StreamRecord<>(CancelEvent.newBuilder().setId(id).build(), time));
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
