/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.fakes.FakePipeline;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.ModelInfo;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ModelList;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import io.github.flinkdiffusion.ops.serving.ProcessServices;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import org.apache.flink.api.common.serialization.SerializerConfigImpl;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.mailbox.Mail;
import org.apache.flink.streaming.runtime.tasks.mailbox.TaskMailbox;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;

/** One subtask of the operator in Flink's harness, whose mail the test delivers. */
final class Subtask implements AutoCloseable {
  private static final int MAX_PARALLELISM = 16;

  final OneInputStreamOperatorTestHarness<PromptEvent, ImageEvent> harness;

  Subtask(PipelineFactory pipelines, DiffusionSettings settings, ProcessServices services)
      throws Exception {
    this(pipelines, settings, services, 1, 0);
  }

  Subtask(
      PipelineFactory pipelines,
      DiffusionSettings settings,
      ProcessServices services,
      int parallelism,
      int index)
      throws Exception {
    this(ModelList.of(pipelines), settings, services, parallelism, index);
  }

  Subtask(ModelList models, DiffusionSettings settings, ProcessServices services) throws Exception {
    this(models, settings, services, 1, 0);
  }

  Subtask(
      ModelList models,
      DiffusionSettings settings,
      ProcessServices services,
      int parallelism,
      int index)
      throws Exception {
    harness =
        new OneInputStreamOperatorTestHarness<>(
            new DiffusionOperatorFactory.OfRequests<>(
                RequestKind.PROMPTS, models, settings, null, null, services),
            MAX_PARALLELISM,
            parallelism,
            index);
    harness.setup(
        new AvroTypeInfo<>(ImageEvent.class).createSerializer(new SerializerConfigImpl()));
  }

  static DiffusionSettings settings(Object... optionsAndValues) {
    Configuration config = new Configuration();
    config.set(DiffusionOptions.BATCH_ROWS, 16); // a test that measures says so
    config.set(DiffusionOptions.DEVICE_KEEP_MODEL, Duration.ZERO); // tests look at what is left
    for (int i = 0; i < optionsAndValues.length; i += 2) {
      set(config, optionsAndValues[i], optionsAndValues[i + 1]);
    }
    return DiffusionSettings.of(config);
  }

  @SuppressWarnings("unchecked") // the caller pairs options with values of their type
  private static void set(Configuration config, Object option, Object value) {
    config.set((ConfigOption<Object>) option, value);
  }

  static PromptEvent prompt(String id, int steps) {
    return PromptEvent.newBuilder().setId(id).setPrompt("a " + id).setSteps(steps).build();
  }

  /** The PNG that a prompt gives when it is made alone and undisturbed. */
  static byte[] undisturbed(PromptEvent prompt) {
    return undisturbed(prompt, FakePipeline.MODEL);
  }

  static byte[] undisturbed(PromptEvent prompt, ModelInfo model) {
    GenerationSpec spec = Events.spec(prompt, settings());
    Audit audit =
        Audit.of(new FakePipeline(model), new FakePipeline().prepare(spec), Map.of(), Map.of());
    return PngCodec.encode(audit.in(FakePipeline.pictureOf(spec)));
  }

  Subtask open() throws Exception {
    harness.open();
    return this;
  }

  Subtask restore(OperatorSubtaskState state) throws Exception {
    harness.initializeState(state);
    harness.open();
    return this;
  }

  /** Delivers one mail; false when there is none. */
  boolean deliverMail() throws Exception {
    Optional<Mail> mail = harness.getTaskMailbox().tryTake(TaskMailbox.MIN_PRIORITY);
    if (mail.isPresent()) {
      mail.get().run();
    }
    return mail.isPresent();
  }

  void deliverAllMail() throws Exception {
    while (deliverMail()) {}
  }

  /** Until device, encoders and mailbox have nothing to do any more. */
  void settle(ManualDevices devices) throws Exception {
    boolean busy = true;
    while (busy) {
      busy = devices.deviceCall();
      while (devices.encodeOne()) {
        busy = true;
      }
      deliverAllMail();
    }
  }

  OperatorSubtaskState snapshot() throws Exception {
    return harness.snapshot(1, 1);
  }

  /** Requests taken in and not put out, as the operator's metric says. */
  int inFlight() {
    return ((DiffusionOperator) harness.getOperator()).inFlight();
  }

  DiffusionMetrics meters() {
    return ((DiffusionOperator) harness.getOperator()).meters();
  }

  List<ImageEvent> images() {
    return harness.extractOutputValues();
  }

  List<String> imageIds() {
    return images().stream().map(ImageEvent::getId).toList();
  }

  List<FailureEvent> failures() {
    return values(harness.getSideOutput(DiffusionOperator.FAILURES));
  }

  List<ProgressEvent> progress() {
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
