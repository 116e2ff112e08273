/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.fakes.FakePipeline;
import io.github.flinkdiffusion.ops.fakes.FakePipelines;
import io.github.flinkdiffusion.ops.fakes.FakeUpscalers;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.imaging.AuditException;
import io.github.flinkdiffusion.ops.imaging.Composition;
import io.github.flinkdiffusion.ops.imaging.ResultFormat;
import io.github.flinkdiffusion.ops.pipeline.ModelInfo;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import io.github.flinkdiffusion.ops.serving.ModelFolderPipelines;
import io.github.flinkdiffusion.ops.serving.ModelSettings;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.flink.configuration.Configuration;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

/** From a request to its picture, and from the picture alone to the same picture again. */
class ReplayTest {
  private static final String MODELS = "src/test/resources/fixtures/models/";

  private static ImageEvent made(
      PipelineFactory pipelines, DiffusionSettings settings, PromptEvent prompt) throws Exception {
    ManualDevices devices = new ManualDevices();
    try (Subtask subtask = new Subtask(pipelines, settings, devices.services).open()) {
      subtask.harness.processElement(prompt, 0);
      subtask.settle(devices);
      assertThat(subtask.failures()).isEmpty();
      return subtask.images().get(0);
    }
  }

  private static Audit auditIn(ImageEvent result) {
    return Audit.of(PngCodec.decode(result.getImage().array()).metadata()).orElseThrow();
  }

  /** Where numbers lie in memory decides how libtorch rounds them, now and then. */
  private static void assertSamePicture(ImageEvent actual, ImageEvent expected) {
    Raster remade = PngCodec.decode(actual.getImage().array());
    Raster first = PngCodec.decode(expected.getImage().array());
    assertThat(remade.metadata()).isEqualTo(first.metadata());
    assertThat(remade.data()).containsExactly(first.data(), Offset.offset(2.01f / 255));
  }

  private static PipelineFactory model(Configuration config, String name) {
    return new ModelFolderPipelines(
        ModelSettings.of(
            config
                .set(DiffusionOptions.MODEL_FOLDER, MODELS + name)
                .set(DiffusionOptions.DEVICE, "cpu")));
  }

  @Test
  void aPictureIsMadeAgainFromItsOwnFile() throws Exception {
    Configuration config =
        new Configuration()
            .set(DiffusionOptions.MODEL_PRECISION, Precision.BFLOAT16)
            .set(DiffusionOptions.DEFAULT_SCHEDULER, "EulerAncestralDiscreteScheduler")
            .set(DiffusionOptions.DEFAULT_STEPS, 3);
    PromptEvent prompt =
        PromptEvent.newBuilder()
            .setId("poster")
            .setPrompt("a lighthouse, \"quoted\", \u706f\u5854")
            .setNegativePrompt("fog")
            .setParameters(Map.of("clipSkip", "1", "guidanceRescale", "0.3"))
            .build();
    ImageEvent result = made(model(config, "tiny-sd1"), DiffusionSettings.of(config), prompt);

    Audit audit = auditIn(result);
    Configuration again = Replay.settings(audit);
    ImageEvent remade =
        made(
            model(again, "tiny-sd1"),
            DiffusionSettings.of(again),
            Replay.prompt(audit, "another id", Map.of()));

    assertSamePicture(remade, result);
    assertThat(remade.getAudit()).isEqualTo(result.getAudit());
    assertThat(AuditRecords.audit(result.getAudit())).isEqualTo(audit);
  }

  private static ImageEvent made(DiffusionSettings settings, ImageTaskEvent task) throws Exception {
    ManualDevices devices = new ManualDevices();
    try (ImageSubtask subtask =
        new ImageSubtask(new FakeUpscalers(1, "d1"), settings, devices).open()) {
      subtask.task(task);
      subtask.settle();
      assertThat(subtask.failures()).isEmpty();
      return subtask.images().get(0);
    }
  }

  private static Audit auditIn(Payload picture) {
    byte[] file = Payloads.inlineBytes(picture).orElseThrow();
    return Audit.of(Images.read(file, ReadOptions.DEFAULT).metadata()).orElseThrow();
  }

  /** Tiles, an ensemble, a value range, a resized image: all that a record must hold. */
  @Test
  void anImageTaskIsMadeAgainFromItsResultsFileAndItsInput() throws Exception {
    Configuration config =
        new Configuration()
            .set(ImageTaskOptions.TILE_SIZE, 12)
            .set(ImageTaskOptions.TILE_OVERLAP, 5)
            .set(ImageTaskOptions.ENSEMBLE_SIZE, 3)
            .set(ImageTaskOptions.VALUE_RANGE, "0..10000")
            .set(ImageTaskOptions.FORMAT, ResultFormat.TIFF)
            .set(DiffusionOptions.DEFAULT_STEPS, 3);
    ImageTaskEvent task =
        ImageTaskCase.task("scene", ImageTaskCase.image(20, 31), "image/png")
            .setWidth(30)
            .setParameters(Map.of("height", "33"))
            .build();
    ImageEvent result = made(DiffusionSettings.of(config), task);
    assertThat(result.getWidth()).isEqualTo(60);
    assertThat(result.getHeight()).isEqualTo(66);

    Audit audit = auditIn(Payloads.image(result));
    assertThat(audit).isEqualTo(AuditRecords.audit(result.getAudit()));
    assertThat(audit.inputDigests()).containsOnlyKeys("image");
    ImageEvent remade =
        made(
            DiffusionSettings.of(Replay.settings(audit)),
            Replay.imageTask(audit, "another id", Map.of("image", task.getImage())));

    assertThat(remade.getImage()).isEqualTo(result.getImage());
    assertThat(remade.getUncertainty()).isEqualTo(result.getUncertainty()).isNotNull();
    assertThat(remade.getAudit()).isEqualTo(result.getAudit());
  }

  @Test
  void whatStandsBesideTheAnswerCarriesTheSameRecordAndSaysWhatItIs() throws Exception {
    ImageEvent result =
        made(
            settings(),
            ImageTaskCase.task("a", ImageTaskCase.image(4, 4), "image/png")
                .setEnsembleSize(2)
                .build());

    byte[] uncertainty = Payloads.inlineBytes(result.getUncertainty()).orElseThrow();
    ImageMetadata metadata = Images.read(uncertainty, ReadOptions.DEFAULT).metadata();
    assertThat(Audit.of(metadata)).contains(auditIn(Payloads.image(result)));
    assertThat(metadata.texts()).containsEntry(Audit.RESULT, Composition.UNCERTAINTY);
  }

  @Test
  void aResultSaysNothingOfHowItsInputWasMade() throws Exception {
    Raster input =
        ImageTaskCase.image(4, 4)
            .withMetadata(
                ImageMetadata.NONE.withTexts(
                    Map.of(
                        Audit.KEYWORD, "{}", Audit.RESULT, Composition.MASK, "instrument", "x")));
    ImageEvent result = made(settings(), ImageTaskCase.task("a", input, "image/png").build());
    byte[] file = Payloads.inlineBytes(Payloads.image(result)).orElseThrow();

    ImageMetadata metadata = Images.read(file, ReadOptions.DEFAULT).metadata();
    assertThat(metadata.texts()).containsOnlyKeys(Audit.KEYWORD, "instrument");
    assertThat(Audit.of(metadata)).contains(AuditRecords.audit(result.getAudit()));
  }

  @Test
  void whereItIsNotWantedTheRecordIsInTheEventAlone() throws Exception {
    DiffusionSettings settings =
        DiffusionSettings.of(new Configuration().set(DiffusionOptions.AUDIT_IN_IMAGES, false));
    ImageEvent picture = made(new FakePipelines(), settings, Subtask.prompt("a", 1));
    ImageEvent enlarged =
        made(settings, ImageTaskCase.task("a", ImageTaskCase.image(4, 4), "image/png").build());

    for (ImageEvent result : List.of(picture, enlarged)) {
      byte[] file = Payloads.inlineBytes(Payloads.image(result)).orElseThrow();
      assertThat(Images.read(file, ReadOptions.DEFAULT).metadata().texts()).isEmpty();
      assertThat(result.getAudit().getSteps()).isPositive();
    }
  }

  @Test
  void aNumberThatIsNoneIsRefused() {
    Audit audit =
        Audit.of(
            FakePipeline.MODEL,
            "text-to-image",
            FakePipeline.request("a", 1),
            Map.of(),
            Map.of(Replay.ENSEMBLE_SIZE, "some"));
    Payload image = Payloads.inline(new byte[0], "");
    assertThatThrownBy(() -> Replay.imageTask(audit, "a", Map.of("image", image)))
        .isInstanceOf(AuditException.class)
        .hasMessage("The audit record's ensembleSize is 'some'; a whole number is expected");
  }

  @Test
  void aModelThatTakesNoTextIsAskedWithoutOne() throws Exception {
    Configuration config = new Configuration();
    PromptEvent request =
        PromptEvent.newBuilder()
            .setId("7")
            .setPrompt("")
            .setParameters(Map.of("classLabel", "3", "steps", "2"))
            .build();
    ImageEvent result = made(model(config, "tiny-dit"), DiffusionSettings.of(config), request);

    Audit audit = auditIn(result);
    assertThat(audit.task()).isEqualTo("class-to-image");
    Configuration again = Replay.settings(audit);
    assertSamePicture(
        made(
            model(again, "tiny-dit"),
            DiffusionSettings.of(again),
            Replay.prompt(audit, "again", Map.of())),
        result);
  }

  @Test
  void aTextThatWasTooLongForTheRecordIsGivenAndChecked() throws Exception {
    String longText = "a very " + "very ".repeat(1000) + "long story";
    PromptEvent prompt = Subtask.prompt("a", 2);
    prompt.setPrompt(longText);
    FakePipelines pipelines = new FakePipelines();
    ImageEvent result = made(pipelines, settings(), prompt);
    Audit audit = auditIn(result);

    assertThatThrownBy(() -> audit.withOmittedTexts(Map.of()))
        .isInstanceOf(AuditException.class)
        .hasMessage(
            "The prompt has 5017 characters, too many for the audit record; it must be set again");
    assertThatThrownBy(() -> audit.withOmittedTexts(Map.of("prompt", "another story")))
        .hasMessageStartingWith("The prompt differs from the one that was used");
    Audit complete = audit.withOmittedTexts(Map.of("prompt", longText));
    assertThat(
            made(new FakePipelines(), settings(), Replay.prompt(complete, "again", Map.of()))
                .getImage())
        .isEqualTo(result.getImage());
  }

  @Test
  void theModelIsLoadedAsItWas() {
    Audit audit =
        audit(
            Map.of(
                "pipeline", "StableDiffusionImg2ImgPipeline",
                "precision", "FLOAT16",
                "safetyChecker", "false",
                "watermark", "true",
                "caching", "branch 2"));
    assertThat(Replay.settings(audit))
        .isEqualTo(
            new Configuration()
                .set(DiffusionOptions.MODEL_PIPELINE, "StableDiffusionImg2ImgPipeline")
                .set(DiffusionOptions.MODEL_PRECISION, Precision.FLOAT16)
                .set(DiffusionOptions.CACHE_INTERVAL, 1)
                .set(DiffusionOptions.CACHE_BRANCH, 2)
                .set(DiffusionOptions.MODEL_SAFETY_CHECKER, false)
                .set(DiffusionOptions.MODEL_WATERMARK, true));
    assertThatThrownBy(() -> Replay.settings(audit(Map.of("precision", "INT4"))))
        .isInstanceOf(AuditException.class)
        .hasMessage(
            "The audit record's precision is 'INT4'; this version knows FLOAT32, FLOAT16,"
                + " BFLOAT16");
  }

  @Test
  void aThresholdOfARequestIsAllowedAgain() {
    Audit plain = audit(Map.of("caching", "branch 0"));
    SortedMap<String, String> parameters = new TreeMap<>(plain.parameters());
    parameters.put("cacheThreshold", "0.1");
    Audit audit = plain.withParameters(parameters);

    assertThat(Replay.settings(audit).get(DiffusionOptions.CACHE_THRESHOLD)).isEqualTo(0.0);
    assertThat(Replay.prompt(audit, "again", Map.of()).getParameters())
        .containsEntry("cacheThreshold", "0.1");
    assertThat(Replay.settings(plain).getOptional(DiffusionOptions.CACHE_THRESHOLD)).isEmpty();
  }

  @Test
  void aVisibleLabelIsDrawnAgain() {
    Audit labelled =
        audit(Map.of())
            .withParameters(
                new TreeMap<>(
                    Map.of(
                        "diffusion.label.text", "AI generated", "attribute.consent", "form 17")));

    assertThat(Replay.settings(labelled).get(DiffusionOptions.LABEL_TEXT))
        .isEqualTo("AI generated");
    assertThat(Replay.prompt(labelled, "again", Map.of()).getParameters())
        .doesNotContainKeys("diffusion.label.text", "attribute.consent");
  }

  private static Audit audit(Map<String, String> loadedAs) {
    return Audit.of(
        new ModelInfo("m", "d", new TreeMap<>(loadedAs)),
        "text-to-image",
        FakePipeline.request("a", 1),
        Map.of(),
        Map.of());
  }
}
