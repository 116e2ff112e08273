/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.AuditRecord;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.format.EventJson;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.ModelInfo;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReplayToolITCase {
  private static final Path MODELS = Path.of("../models");

  /**
   * Which samples share a call is a matter of time, and where numbers lie in memory one of chance:
   * libtorch rounds by both.
   */
  private static final String SAME = "IDENTICAL|EQUAL|CLOSE";

  private static final Path EMOJI = MODELS.resolve("mini-emoji");

  /** A picture of mini-emoji, made without the operator and alone. */
  private static GeneratedImage cat;

  private static Audit audit;

  @TempDir private Path folder;

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();
  private final PrintStream standardOut = System.out;
  private final PrintStream standardErr = System.err;

  @BeforeAll
  static void makeAPicture() {
    try (DiffusionPipeline pipeline = Pipelines.open(EMOJI, PipelineSettings.on(DeviceSpec.CPU))) {
      cat =
          made(
              pipeline,
              GenerationSpec.of("cat")
                  .with(Parameters.PROMPT, "a cat face on yellow")
                  .with(Parameters.STEPS, 2L)
                  .with(Parameters.GUIDANCE_SCALE, 2.0)
                  .with(Parameters.SEED, 5L));
      audit = Audit.of(pipeline.model(), cat.request(), Map.of(), Map.of());
    }
  }

  private static GeneratedImage made(DiffusionPipeline pipeline, GenerationSpec spec) {
    List<Trajectory> alone = pipeline.start(List.of(pipeline.model().prepare(spec)));
    while (!alone.get(0).done()) {
      pipeline.step(alone);
    }
    return pipeline.finish(alone).get(0);
  }

  @BeforeEach
  void captureOutput() {
    System.setProperty("flinkdiffusion.home", "../..");
    System.setOut(new PrintStream(out, true, UTF_8));
    System.setErr(new PrintStream(err, true, UTF_8));
  }

  @AfterEach
  void releaseOutput() {
    System.clearProperty("flinkdiffusion.home");
    System.setOut(standardOut);
    System.setErr(standardErr);
  }

  private Path file(Raster picture, String mediaType) throws IOException {
    return Files.write(folder.resolve("result"), Images.write(picture, mediaType));
  }

  private static String[] with(Path model, Object... more) {
    return Stream.concat(
            Stream.of("--model", model.toString()), Stream.of(more).map(Object::toString))
        .toArray(String[]::new);
  }

  private String output() {
    return out.toString(UTF_8);
  }

  @Test
  void aResultIsMadeAgainFromItsFileAlone() throws Exception {
    Path result = file(audit.in(cat.image()), "image/png");
    Path sheets = folder.resolve("sheets");

    assertThat(ReplayTool.run(with(EMOJI, "--out", sheets, result))).as(output() + err).isZero();
    assertThat(output())
        .contains("text-to-image, 2 steps of DDIMScheduler, seed 5")
        .containsPattern(SAME);
    Raster again =
        Images.read(Files.readAllBytes(sheets.resolve("replayed.png")), ReadOptions.DEFAULT);
    assertThat(Audit.of(again.metadata())).contains(audit);
    assertThat(
            Images.read(
                    Files.readAllBytes(sheets.resolve("contact-sheet.png")), ReadOptions.DEFAULT)
                .width())
        .isGreaterThan(3 * 256);
  }

  @Test
  void anotherKindOfFileHasEqualPixels() throws Exception {
    Path result = file(audit.in(cat.image()), "image/tiff");

    assertThat(ReplayTool.run(with(EMOJI, result))).as(output() + err).isZero();
    assertThat(output()).containsPattern("EQUAL|CLOSE");
  }

  @Test
  void aPictureThatWasPaintedOverIsFoundOut() throws Exception {
    float[] painted = cat.image().data().clone();
    painted[100] = painted[100] > 0.5f ? 0 : 1;
    Raster forged = new Raster(3, cat.image().height(), cat.image().width(), painted);

    assertThat(ReplayTool.run(with(EMOJI, file(audit.in(forged), "image/png")))).isEqualTo(3);
    assertThat(output())
        .containsPattern("[1-9] of 12288 values differ")
        .contains("DIFFERENT: the result is not what its record says.");
  }

  @Test
  void anEventInKafkaIsAResultToo() throws Exception {
    // As a job writes it whose pictures are not to tell their prompts.
    byte[] png = Images.write(cat.image(), "image/png");
    ImageEvent event =
        Payloads.setPicture(ImageEvent.newBuilder(), Payloads.inline(png, "image/png"))
            .setId("cat")
            .setWidth(cat.image().width())
            .setHeight(cat.image().height())
            .setAudit(
                AuditRecord.newBuilder()
                    .setModel(audit.model())
                    .setModelDigest(audit.modelDigest())
                    .setTask(audit.task())
                    .setScheduler(audit.scheduler())
                    .setSteps(audit.steps())
                    .setSeed(audit.seed())
                    .setParameters(audit.parameters())
                    .setInputDigests(audit.inputDigests())
                    .setSoftwareVersion(audit.softwareVersion())
                    .build())
            .build();
    try (EmbeddedKafka kafka = EmbeddedKafka.builder().start()) {
      kafka.createTopics(1, "images", "images-json");
      kafka.send(List.of(new ProducerRecord<>("images", EventCodec.images().encode(event))));
      kafka.send(
          List.of(
              new ProducerRecord<>("images-json", EventJson.of(ImageEvent.class).write(event))));
      String[] place = {"--bootstrap-servers", kafka.bootstrapServers(), "--record"};

      assertThat(ReplayTool.run(with(EMOJI, place[0], place[1], place[2], "images/0/0")))
          .as(output() + err)
          .isZero();
      assertThat(output()).startsWith("images/0/0").containsPattern(SAME);
      assertThat(ReplayTool.run(with(EMOJI, place[0], place[1], place[2], "images/0/7")))
          .isEqualTo(1);
      assertThat(err.toString(UTF_8))
          .contains("There is no committed record images/0/7: the partition ends at offset 1.");

      String json = "-Ddiffusion.kafka.sink.format=json";
      assertThat(ReplayTool.run(with(EMOJI, place[0], place[1], json, place[2], "images-json/0/0")))
          .as(output() + err)
          .isZero();
      assertThat(output()).contains("images-json/0/0");
    }
  }

  /** What the operator makes of an image: written to files as a user would have them. */
  private ImageEvent worked(Path model, Path input, Map<String, String> parameters)
      throws Exception {
    Audit wanted =
        new Audit(
            "",
            "",
            "",
            "",
            2,
            9,
            new TreeMap<>(parameters),
            new TreeMap<>(Map.of("image", "")),
            "");
    Configuration settings =
        new Configuration()
            .set(DiffusionOptions.MODEL_FOLDER, model.toString())
            .set(DiffusionOptions.DEVICE, "cpu")
            .set(DiffusionOptions.BATCH_ROWS, 8);
    return new ReplayRun(settings, Files.createDirectories(folder.resolve("store")))
        .make(wanted, Map.of("image", input));
  }

  private static Path stored(Payload picture) {
    return Path.of(
        URI.create(Payloads.reference(picture).orElseThrow().getUri().replace(" ", "%20")));
  }

  @Test
  void tilesOfAnEnsembleAreMadeAgain() throws Exception {
    Path model = MODELS.resolve("mini-satellite-x4");
    Path himalaya = model.resolve("inputs/himalaya.png");
    ImageEvent enlarged = worked(model, himalaya, Map.of("ensembleSize", "2", "inputWidth", "60"));
    Path result = stored(Payloads.image(enlarged));
    Path uncertainty = stored(enlarged.getUncertainty());

    assertThat(ReplayTool.run(with(model, "--image", himalaya, result)))
        .as(output() + err)
        .isZero();
    assertThat(output())
        .contains("super-resolution, 2 steps of DDIMScheduler, seed 9")
        .containsPattern("image +(\\w{12}) +\\1 +same")
        .containsPattern(SAME);
    out.reset();
    assertThat(ReplayTool.run(with(model, "--image", himalaya, uncertainty))).isZero();
    assertThat(output()).containsPattern(SAME);
    out.reset();
    assertThat(ReplayTool.run(with(model, "--image", result, result))).isEqualTo(4);
    assertThat(output())
        .contains("NOT MADE AGAIN: an input differs from the one that the result was made");
  }

  @Test
  void aMaskIsMadeAgain() throws Exception {
    Path model = MODELS.resolve("mini-brain-mask");
    Path slice = model.resolve("inputs/slice-24.png");
    Path mask = stored(worked(model, slice, Map.of()).getMask());

    // The model is found by the name in the record.
    assertThat(ReplayTool.run("--image", slice.toString(), mask.toString()))
        .as(output() + err)
        .isZero();
    assertThat(output()).contains("segmentation, 2 steps").containsPattern(SAME);
  }

  @Test
  void anotherModelIsToldBeforeAnythingIsMade() throws Exception {
    Path result = file(audit.in(cat.image()), "image/png");

    assertThat(ReplayTool.run(with(MODELS.resolve("mini-brain-mask"), result))).isEqualTo(4);
    assertThat(output())
        .containsPattern("model +mini-emoji \\w{12} +mini-brain-mask \\w{12} +OTHER")
        .contains("NOT MADE AGAIN: the folder holds another model");
  }

  @Test
  void whatCanNotBeReplayedIsSaidInOneLine() throws Exception {
    assertThat(ReplayTool.run(with(EMOJI, file(cat.image(), "image/png")))).isEqualTo(1);
    assertThat(err.toString(UTF_8))
        .contains("has no audit record: this project did not generate it");

    err.reset();
    Audit others =
        Audit.of(new ModelInfo("m", "d"), "text-to-image", cat.request(), Map.of(), Map.of());
    assertThat(ReplayTool.run(file(others.in(cat.image()), "image/png").toString())).isEqualTo(1);
    assertThat(err.toString(UTF_8)).contains("generated by the model m, which is not in");

    err.reset();
    Audit enlarged =
        Audit.of(
            new ModelInfo("m", "d"),
            "text-to-image",
            cat.request(),
            Map.of("image", "ab".repeat(32)),
            Map.of());
    assertThat(ReplayTool.run(with(EMOJI, file(enlarged.in(cat.image()), "image/png"))))
        .isEqualTo(1);
    assertThat(err.toString(UTF_8))
        .contains("The result was made from an input image of SHA-256 abab")
        .contains("give the file with --image.");

    err.reset();
    Path result = file(audit.in(cat.image()), "image/png");
    assertThat(ReplayTool.run(with(EMOJI, "--image", result, result))).isEqualTo(1);
    assertThat(err.toString(UTF_8))
        .contains("The result was not made from an input image; its record names none.");

    err.reset();
    assertThat(ReplayTool.run()).isEqualTo(2);
    assertThat(ReplayTool.run("--record", "images")).isEqualTo(2);
    assertThat(err.toString(UTF_8))
        .contains("expected topic/partition/offset, such as images/0/17");
  }
}
