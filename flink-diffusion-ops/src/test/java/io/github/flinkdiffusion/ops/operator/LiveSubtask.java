/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.serving.LiveOptions;
import io.github.flinkdiffusion.ops.serving.ModelList;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.flink.api.common.serialization.SerializerConfigImpl;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.runtime.tasks.mailbox.Mail;
import org.apache.flink.streaming.runtime.tasks.mailbox.TaskMailbox;
import org.apache.flink.streaming.util.KeyedOneInputStreamOperatorTestHarness;

/** One subtask for frames of streams, keyed by them, with a device of its own. */
final class LiveSubtask implements AutoCloseable {
  static final int MAX_PARALLELISM = 16;

  final ManualDevices devices = new ManualDevices();
  final KeyedOneInputStreamOperatorTestHarness<String, ImageTaskEvent, ImageEvent> harness;

  LiveSubtask(PipelineFactory models, int parallelism, int index, Object... optionsAndValues)
      throws Exception {
    List<Object> options = new ArrayList<>(List.of(optionsAndValues));
    options.addAll(List.of(LiveOptions.ENABLED, true));
    harness =
        new KeyedOneInputStreamOperatorTestHarness<>(
            new DiffusionOperatorFactory.OfRequests<>(
                RequestKind.IMAGE_TASKS,
                ModelList.of(models),
                settings(options.toArray()),
                null,
                null,
                devices.services),
            FrameId::key,
            Types.STRING,
            MAX_PARALLELISM,
            parallelism,
            index);
    harness.setup(
        new AvroTypeInfo<>(ImageEvent.class).createSerializer(new SerializerConfigImpl()));
  }

  LiveSubtask open() throws Exception {
    harness.open();
    return this;
  }

  LiveSubtask restore(OperatorSubtaskState state) throws Exception {
    harness.initializeState(state);
    harness.open();
    return this;
  }

  void send(ImageTaskEvent task) throws Exception {
    harness.processElement(task, 5);
  }

  boolean progress() throws Exception {
    boolean busy = devices.deviceCall();
    busy |= devices.encodeOne();
    Optional<Mail> mail = harness.getTaskMailbox().tryTake(TaskMailbox.MIN_PRIORITY);
    if (mail.isPresent()) {
      mail.get().run();
    }
    return busy || mail.isPresent();
  }

  void settle() throws Exception {
    while (progress()) {
      // until all rest
    }
  }

  List<ImageEvent> images() {
    return harness.extractOutputValues();
  }

  List<FailureEvent> failures() {
    var records = harness.getSideOutput(DiffusionOperator.FAILURES);
    return records == null
        ? List.of()
        : new ArrayList<>(records.stream().map(record -> record.getValue()).toList());
  }

  DiffusionMetrics meters() {
    return ((DiffusionOperator) harness.getOperator()).meters();
  }

  LiveFrames frames() {
    return ((DiffusionOperator) harness.getOperator()).live();
  }

  @Override
  public void close() throws Exception {
    harness.close();
  }
}
