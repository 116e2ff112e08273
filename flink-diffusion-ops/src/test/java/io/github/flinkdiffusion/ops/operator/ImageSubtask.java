/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.TextEvent;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ModelList;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import org.apache.flink.api.common.serialization.SerializerConfigImpl;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.operators.testutils.MockEnvironmentBuilder;
import org.apache.flink.runtime.util.TestingTaskManagerRuntimeInfo;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.mailbox.Mail;
import org.apache.flink.streaming.runtime.tasks.mailbox.TaskMailbox;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;

/** One subtask of the operator for image tasks in Flink's harness; the test delivers its mail. */
final class ImageSubtask implements AutoCloseable {
  final OneInputStreamOperatorTestHarness<ImageTaskEvent, ImageEvent> harness;
  private final ManualDevices devices;

  ImageSubtask(PipelineFactory pipelines, DiffusionSettings settings, ManualDevices devices)
      throws Exception {
    this(pipelines, settings, devices, Path.of(System.getProperty("java.io.tmpdir")));
  }

  /**
   * @param scratch the TaskManager's folder for temporary files
   */
  ImageSubtask(
      PipelineFactory pipelines, DiffusionSettings settings, ManualDevices devices, Path scratch)
      throws Exception {
    this(RequestKind.IMAGE_TASKS, pipelines, settings, devices, scratch);
  }

  ImageSubtask(
      RequestKind<ImageTaskEvent> kind,
      PipelineFactory pipelines,
      DiffusionSettings settings,
      ManualDevices devices,
      Path scratch)
      throws Exception {
    this.devices = devices;
    harness =
        new OneInputStreamOperatorTestHarness<>(
            new DiffusionOperatorFactory.OfRequests<>(
                kind, ModelList.of(pipelines), settings, null, null, devices.services),
            new MockEnvironmentBuilder()
                .setTaskManagerRuntimeInfo(
                    new TestingTaskManagerRuntimeInfo(
                        new Configuration(), new String[] {scratch.toString()}))
                .build());
    harness.setup(
        new AvroTypeInfo<>(ImageEvent.class).createSerializer(new SerializerConfigImpl()));
  }

  ImageSubtask open() throws Exception {
    harness.open();
    return this;
  }

  ImageSubtask restore(OperatorSubtaskState state) throws Exception {
    harness.initializeState(state);
    harness.open();
    return this;
  }

  void task(ImageTaskEvent event) throws Exception {
    harness.processElement(event, 5);
  }

  /** One call of the device, one piece of work of the pool, one mail; false when all rest. */
  boolean progress() throws Exception {
    boolean busy = devices.deviceCall();
    busy |= devices.encodeOne();
    return busy | deliverMail();
  }

  boolean deliverMail() throws Exception {
    Optional<Mail> mail = harness.getTaskMailbox().tryTake(TaskMailbox.MIN_PRIORITY);
    if (mail.isPresent()) {
      mail.get().run();
    }
    return mail.isPresent();
  }

  void settle() throws Exception {
    boolean busy = true;
    while (busy) {
      busy = progress();
    }
  }

  OperatorSubtaskState snapshot() throws Exception {
    return harness.snapshot(1, 1);
  }

  DiffusionMetrics meters() {
    return ((DiffusionOperator) harness.getOperator()).meters();
  }

  List<ImageEvent> images() {
    return harness.extractOutputValues();
  }

  List<TextEvent> texts() {
    return values(harness.getSideOutput(DiffusionOperator.TEXTS));
  }

  List<FailureEvent> failures() {
    return values(harness.getSideOutput(DiffusionOperator.FAILURES));
  }

  List<ProgressEvent> progressEvents() {
    return values(harness.getSideOutput(DiffusionOperator.PROGRESS));
  }

  private static <T> List<T> values(Queue<StreamRecord<T>> records) {
    return records == null
        ? List.of()
        : new ArrayList<>(records.stream().map(StreamRecord::getValue).toList());
  }

  @Override
  public void close() throws Exception {
    harness.close();
  }
}
