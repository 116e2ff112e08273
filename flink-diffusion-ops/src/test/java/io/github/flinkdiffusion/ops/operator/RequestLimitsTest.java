/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.batching.BatchPolicy;
import io.github.flinkdiffusion.ops.batching.StepBatcher;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.fakes.FakePipelines;
import io.github.flinkdiffusion.ops.fakes.FakeUpscalers;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Requests larger than an operator accepts are failures; those within the limits are done. */
class RequestLimitsTest {
  private static final String CLIP = "src/test/resources/fixtures/quality/tiny-clip";

  private final ManualDevices devices = new ManualDevices();

  private static PromptEvent.Builder prompt() {
    return PromptEvent.newBuilder().setId("large").setPrompt("a cat").setSteps(1);
  }

  private void assertRefused(PromptEvent.Builder large, String message, Object... settings)
      throws Exception {
    try (Subtask subtask =
        new Subtask(new FakePipelines(), Subtask.settings(settings), devices.services).open()) {
      subtask.harness.processElement(large.build(), 1);
      subtask.harness.processElement(Subtask.prompt("good", 1), 2);
      subtask.settle(devices);

      assertThat(subtask.imageIds()).containsExactly("good");
      FailureEvent failure = subtask.failures().get(0);
      assertThat(failure.getId()).isEqualTo("large");
      assertThat(failure.getReason()).isEqualTo(FailureReason.INVALID_REQUEST);
      assertThat(failure.getMessage()).startsWith(message);
    }
  }

  @Test
  void a2048SquareIsRefusedByDefault() throws Exception {
    assertRefused(
        prompt().setWidth(2048).setHeight(2048),
        "The image is to be generated with 2048 x 2048 = 4194304 pixels; at most 1048576 are"
            + " accepted (diffusion.request.max-pixels).");
  }

  @Test
  void theLimitItselfIsAccepted() throws Exception {
    try (Subtask subtask =
        new Subtask(
                new FakePipelines(),
                Subtask.settings(
                    DiffusionOptions.REQUEST_MAX_PIXELS, 128L,
                    DiffusionOptions.REQUEST_MAX_STEPS, 3,
                    DiffusionOptions.REQUEST_MAX_PROMPT_LENGTH, 5),
                devices.services)
            .open()) {
      subtask.harness.processElement(prompt().setWidth(16).setHeight(8).setSteps(3).build(), 1);
      subtask.settle(devices);
      assertThat(subtask.imageIds()).containsExactly("large");
    }
  }

  @Test
  void moreStepsThanAllowedAreRefused() throws Exception {
    assertRefused(
        prompt().setSteps(51),
        "The request takes 51 network steps; at most 50 are accepted"
            + " (diffusion.request.max-steps).",
        DiffusionOptions.REQUEST_MAX_STEPS,
        50);
  }

  @Test
  void longPromptsAreRefused() throws Exception {
    assertRefused(
        prompt().setPrompt("x".repeat(10_001)),
        "prompt has 10001 characters; at most 10000 are accepted"
            + " (diffusion.request.max-prompt-length).");
    assertRefused(
        prompt().setNegativePrompt("x".repeat(31)),
        "negativePrompt has 31 characters; at most 30 are accepted",
        DiffusionOptions.REQUEST_MAX_PROMPT_LENGTH,
        30);
  }

  @Test
  void promptsWithBlockedPhrasesAreRefused(@TempDir Path folder) throws Exception {
    Path list = Files.writeString(folder.resolve("list.txt"), "# ours\nbad thing\n");
    assertRefused(
        prompt().setPrompt("a B\u00e0d thing"),
        "prompt holds a phrase that is blocked here (line 2 of the list in"
            + " diffusion.safety.blocked-phrases-file).",
        DiffusionOptions.SAFETY_BLOCKED_PHRASES_FILE,
        list.toString());
  }

  /** Their cosines: {@code src/test/python/make_clip_score_fixtures.py}. */
  @Test
  void promptsCloseToAConceptAreRefused(@TempDir Path folder) throws Exception {
    Path list =
        Files.writeString(folder.resolve("concepts.txt"), "0.9 castle\n0.55 a photo of a cat\n");
    assertRefused(
        prompt().setPrompt("two dogs near a river at night"),
        "prompt is too close to the concept 'a photo of a cat': the cosine is 0.5574, the"
            + " limit is 0.55 (line 2 of the list in diffusion.safety.concepts-file).",
        DiffusionOptions.SAFETY_CONCEPTS_FILE,
        list.toString(),
        DiffusionOptions.SAFETY_CLIP_FOLDER,
        CLIP);
  }

  @Test
  void aJobWhoseClipCannotBeReadDoesNotStart(@TempDir Path folder) throws Exception {
    Path list = Files.writeString(folder.resolve("concepts.txt"), "0.9 castle\n");
    DiffusionSettings settings =
        Subtask.settings(
            DiffusionOptions.SAFETY_CONCEPTS_FILE,
            list.toString(),
            DiffusionOptions.SAFETY_CLIP_FOLDER,
            folder.toString());
    try (Subtask subtask = new Subtask(new FakePipelines(), settings, devices.services)) {
      assertThatThrownBy(subtask::open)
          .isInstanceOf(DiffusionException.class)
          .hasMessageStartingWith(
              "Cannot screen prompts by the CLIP in %s (diffusion.safety.clip-folder): "
                  .formatted(folder));
    }
  }

  @Test
  void tooManyAndTooLargeAttributesAreRefused() throws Exception {
    assertRefused(
        prompt().setAttributes(Map.of("a", "1", "b", "2")).setParameters(Map.of("eta", "0")),
        "The request has 3 attributes and parameters; at most 2 are accepted"
            + " (diffusion.request.max-attributes).",
        DiffusionOptions.REQUEST_MAX_ATTRIBUTES,
        2);
    assertRefused(
        prompt().setAttributes(Map.of("a", "\u00fc".repeat(50))),
        "The request's attributes and parameters have 101 bytes; at most 100 are accepted"
            + " (diffusion.request.max-attributes-size).",
        DiffusionOptions.REQUEST_MAX_ATTRIBUTES_SIZE,
        new MemorySize(100));
  }

  @Test
  void anImageTaskIsCutIntoTilesWhereItWouldBeTooLargeAtOnce() throws Exception {
    // 32 x 32 becomes 64 x 64 pixels, and its tiles of 16 x 16 become 32 x 32.
    Object[] settings = {DiffusionOptions.REQUEST_MAX_PIXELS, 4095L};
    try (ImageSubtask subtask =
        new ImageSubtask(new FakeUpscalers(3, "d"), Subtask.settings(settings), devices).open()) {
      subtask.task(task(32));
      subtask.settle();
      assertThat(subtask.failures()).isEmpty();
      assertThat(subtask.images()).hasSize(1);
      assertThat(subtask.meters().tiles.getCount()).isGreaterThan(1);
    }
  }

  @Test
  void anImageTaskThatCannotBeCutIsRefused() throws Exception {
    Object[] settings = {DiffusionOptions.REQUEST_MAX_PIXELS, 4095L};
    try (ImageSubtask subtask =
        new ImageSubtask(
                new FakeUpscalers(3, "d", false, null), Subtask.settings(settings), devices)
            .open()) {
      subtask.task(task(64));
      subtask.settle();
      assertThat(subtask.images()).isEmpty();
      assertThat(subtask.failures())
          .singleElement()
          .extracting(FailureEvent::getMessage)
          .asString()
          .startsWith("The image is to be generated with 64 x 64 = 4096 pixels;");
    }
  }

  @Test
  void aSmallImageThatIsWorkedOnAtALargeSizeIsRefused() throws Exception {
    DiffusionSettings settings = Subtask.settings();
    try (DiffusionPipeline depth =
        Pipelines.open(
            Path.of("src/test/resources/fixtures/models/tiny-marigold-depth"),
            PipelineSettings.on(DeviceSpec.CPU))) {
      StepBatcher batcher = new StepBatcher(depth, BatchPolicy.ofRows(8), devices.ticker);
      GenerationSpec spec =
          GenerationSpec.of("large")
              .with(Parameters.IMAGE, new Raster(3, 32, 64, new float[3 * 32 * 64]));
      settings.limits().prepare(batcher, spec.with(Parameters.PROCESSING_RESOLUTION, 1024L));
      assertThatThrownBy(
              () ->
                  settings
                      .limits()
                      .prepare(batcher, spec.with(Parameters.PROCESSING_RESOLUTION, 8192L)))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageStartingWith(
              "With a processingResolution of 8192 the network works on 33554432 pixels; at most"
                  + " 1048576 are accepted (diffusion.request.max-pixels).");
    }
  }

  private static ImageTaskEvent task(int side) {
    Raster image = new Raster(3, side, side, new float[3 * side * side]);
    return ImageTaskEvent.newBuilder()
        .setId("a")
        .setImage(Payloads.inline(PngCodec.encode(image), "image/png"))
        .build();
  }

  @Test
  void limitsThatNoRequestCouldKeepAreNoSettings() {
    assertThatThrownBy(
            () ->
                DiffusionSettings.of(
                    new Configuration().set(DiffusionOptions.REQUEST_MAX_PIXELS, 0L)))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("diffusion.request.max-pixels");
  }
}
