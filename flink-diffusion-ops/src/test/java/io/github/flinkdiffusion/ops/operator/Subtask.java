/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.fakes.FakePipeline;
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
import java.util.Map;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;

/** One subtask of the operator for prompts. */
final class Subtask
    extends OperatorSubtask<
        PromptEvent, OneInputStreamOperatorTestHarness<PromptEvent, ImageEvent>, Subtask> {

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
    super(
        new OneInputStreamOperatorTestHarness<>(
            new DiffusionOperatorFactory.OfRequests<>(
                RequestKind.PROMPTS, models, settings, null, null, services),
            MAX_PARALLELISM,
            parallelism,
            index));
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

  @Override
  Subtask self() {
    return this;
  }

  /** Requests taken in and not put out, as the operator's metric says. */
  int inFlight() {
    return operator().inFlight();
  }
}
