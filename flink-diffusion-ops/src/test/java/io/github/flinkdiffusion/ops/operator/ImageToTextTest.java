/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.RecordContext;
import io.github.flinkdiffusion.connector.event.TextEvent;
import io.github.flinkdiffusion.ops.fakes.FakeUpscalers;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.ModelFolderPipelines;
import io.github.flinkdiffusion.ops.serving.ModelSettings;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.junit.jupiter.api.Test;

/** Texts about images, by the operator in Flink's harness. */
class ImageToTextTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures");
  private static final Path CAPTIONS = FIXTURES.resolve("text/tiny-blip-caption");
  private static final Path LABELS = FIXTURES.resolve("classifier/tiny-clip");
  private static final Path SCRATCH = Path.of(System.getProperty("java.io.tmpdir"));

  private final ManualDevices devices = new ManualDevices();

  private static PipelineFactory model(Path folder) {
    return new ModelFolderPipelines(
        ModelSettings.of(
            Configuration.fromMap(
                Map.of(
                    "diffusion.model.folder",
                    folder.toString(),
                    "diffusion.model.precision",
                    "FLOAT32"))));
  }

  private ImageSubtask subtask(PipelineFactory model, Object... optionsAndValues) throws Exception {
    return new ImageSubtask(
        RequestKind.TEXT_TASKS, model, settings(optionsAndValues), devices, SCRATCH);
  }

  private static ImageTaskEvent.Builder task(String id) {
    Random random = new Random(id.hashCode());
    float[] values = new float[3 * 20 * 24];
    for (int i = 0; i < values.length; i++) {
      values[i] = (i / 480 + random.nextFloat()) / 4;
    }
    return ImageTaskEvent.newBuilder()
        .setId(id)
        .setImage(Payloads.inline(PngCodec.encode(new Raster(3, 20, 24, values)), "image/png"));
  }

  private static Map<String, String> byId(List<TextEvent> texts) {
    Map<String, String> byId = new HashMap<>();
    texts.forEach(text -> assertThat(byId.put(text.getId(), text.getText())).isNull());
    return byId;
  }

  /** Its mode follows from the image; one that gives an image is refused, as is the reverse. */
  @Test
  void aModelOfImagesAndTextsWritesOneAboutAnImage() throws Exception {
    PipelineFactory model = model(FIXTURES.resolve("models/tiny-unidiffuser"));
    try (ImageSubtask subtask = subtask(model).open()) {
      subtask.task(task("a").setSteps(3).setSeed(17L).build());
      subtask.task(task("b").setSteps(3).setParameters(Map.of("mode", "joint")).build());
      subtask.settle();

      assertThat(subtask.texts()).extracting(TextEvent::getId).containsExactly("a");
      assertThat(subtask.texts().get(0).getText()).isNotEmpty();
      assertThat(subtask.failures()).extracting(FailureEvent::getId).containsExactly("b");
    }
    try (ImageSubtask subtask =
        new ImageSubtask(RequestKind.IMAGE_TASKS, model, settings(), devices, SCRATCH).open()) {
      subtask.task(task("c").setSteps(3).build());
      subtask.settle();

      assertThat(subtask.images()).isEmpty();
      assertThat(subtask.failures())
          .extracting(FailureEvent::getMessage)
          .containsExactly(
              "Model tiny-unidiffuser writes texts, which this operator does not emit; use"
                  + " Diffusion.imageToText().");
    }
  }

  @Test
  void anImageIsDescribedAndItsRequestGoesWithTheText() throws Exception {
    RecordContext context =
        new RecordContext(
            ByteBuffer.wrap(new byte[] {1}),
            Map.of("traceparent", ByteBuffer.wrap(new byte[] {2})));
    try (ImageSubtask subtask =
        subtask(model(CAPTIONS), DiffusionOptions.PROGRESS_EVERY_STEPS, 1).open()) {
      subtask.task(
          task("a")
              .setPrompt("a photo of")
              .setParameters(Map.of("maxNewTokens", "5", "numBeams", "2"))
              .setAttributes(Map.of("k", "v"))
              .setContext(context)
              .build());
      subtask.task(task("b").setImage(Payloads.inline(new byte[1], "image/png")).build());
      subtask.task(task("c").setEnsembleSize(2).build());
      subtask.settle();

      assertThat(subtask.images()).isEmpty();
      assertThat(subtask.texts()).hasSize(1);
      TextEvent text = subtask.texts().get(0);
      assertThat(text.getId()).isEqualTo("a");
      assertThat(text.getText()).startsWith("a photo of");
      assertThat(text.getTokens()).isBetween(0, 5);
      assertThat(text.getScores()).isEmpty();
      assertThat(text.getPrompt()).isEqualTo("a photo of");
      assertThat(text.getModel()).isEqualTo("tiny-blip-caption");
      assertThat(text.getModelDigest()).hasSize(64);
      assertThat(text.getAttributes()).isEqualTo(Map.of("k", "v"));
      assertThat(text.getContext()).isEqualTo(context);
      assertThat(text.getOriginal()).isNotNull();
      assertThat(text.getAudit().getParameters()).containsEntry("numBeams", "2");
      assertThat(text.getDeviceSeconds()).isNotNegative();
      assertThat(subtask.progressEvents())
          .isNotEmpty()
          .allMatch(progress -> progress.getId().equals("a"))
          .extracting(ProgressEvent::getTotalSteps)
          .containsOnly(5);
      assertThat(subtask.failures())
          .extracting(FailureEvent::getId)
          .containsExactlyInAnyOrder("b", "c");
      assertThat(subtask.failures())
          .extracting(FailureEvent::getReason)
          .containsOnly(FailureReason.INVALID_REQUEST);
      assertThat(subtask.meters().texts.getCount()).isEqualTo(1);
    }
  }

  @Test
  void anImageIsLabelled() throws Exception {
    try (ImageSubtask subtask = subtask(model(LABELS)).open()) {
      subtask.task(task("a").setParameters(Map.of("candidateLabels", "[\"cat\",\"sea\"]")).build());
      subtask.settle();

      assertThat(subtask.failures()).isEmpty();
      TextEvent label = subtask.texts().get(0);
      assertThat(label.getScores()).containsOnlyKeys("cat", "sea").containsKey(label.getText());
      assertThat(label.getTokens()).isZero();
    }
  }

  @Test
  void aSubtaskThatIsKilledAtAnyTokenWritesEachTextOnceAndTheSame() throws Exception {
    List<ImageTaskEvent> tasks = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      tasks.add(
          task("text-" + i)
              .setPrompt(i % 2 == 0 ? "" : "the red")
              .setParameters(
                  Map.of("maxNewTokens", "" + (4 + i), i % 3 == 0 ? "numBeams" : "doSample", "1"))
              .build());
    }
    Map<String, String> undisturbed;
    try (ImageSubtask subtask = subtask(model(CAPTIONS)).open()) {
      for (ImageTaskEvent task : tasks) {
        subtask.task(task);
      }
      subtask.settle();
      undisturbed = byId(subtask.texts());
    }
    assertThat(undisturbed).hasSize(6);

    Random random = new Random(5);
    List<TextEvent> texts = new ArrayList<>();
    OperatorSubtaskState state = null;
    for (int restart = 0; texts.size() < 6 && restart < 50; restart++) {
      try (ImageSubtask subtask = subtask(model(CAPTIONS))) {
        if (state == null) {
          subtask.open();
          for (ImageTaskEvent task : tasks) {
            subtask.task(task);
          }
        } else {
          subtask.restore(state);
        }
        int mails = 20 + random.nextInt(60);
        for (int i = 0; i < mails; i++) {
          subtask.progress();
        }
        state = subtask.snapshot();
        // What leaves before the checkpoint is written, what leaves after it is lost.
        texts.addAll(subtask.texts());
        for (int i = 0; i < 10; i++) {
          subtask.progress();
        }
      }
    }
    assertThat(byId(texts)).isEqualTo(undisturbed);
  }

  @Test
  void modelsOfTheOtherKindAreRefusedWithTheOperatorToUse() throws Exception {
    try (ImageSubtask texts = subtask(new FakeUpscalers(1, "0123")).open()) {
      texts.task(task("a").build());
      texts.settle();
      assertThat(texts.failures()).hasSize(1);
      assertThat(texts.failures().get(0).getMessage()).contains("use Diffusion.imageTasks()");
    }
    try (ImageSubtask images = new ImageSubtask(model(CAPTIONS), settings(), devices).open()) {
      images.task(task("a").build());
      images.settle();
      assertThat(images.failures()).hasSize(1);
      assertThat(images.failures().get(0).getMessage()).contains("use Diffusion.imageToText()");
    }
  }
}
