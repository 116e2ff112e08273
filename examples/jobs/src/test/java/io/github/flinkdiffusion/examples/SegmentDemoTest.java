/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.offset;
import static org.assertj.core.api.Assertions.tuple;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.connector.event.AuditRecord;
import io.github.flinkdiffusion.connector.event.Box;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.Region;
import io.github.flinkdiffusion.connector.event.Regions;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.function.IntSupplier;
import org.apache.flink.configuration.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What examples/segment leaves behind, and which models it takes. */
class SegmentDemoTest {
  private static final Path MODELS = Path.of("../models");

  @TempDir private Path folder;

  private static ImageEvent result(String id) {
    byte[] png = Images.write(Raster.filled(1, 4, 4, 1), "image/png");
    Region brain =
        Region.newBuilder()
            .setLabel("brain")
            .setAreaPixels(12)
            .setArea(3.0)
            .setAreaUnit("mm2")
            .setBox(new Box(0.0, 0.0, 4.0, 3.0))
            .setGeometry("{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[4,0],[4,3],[0,3],[0,0]]]}")
            .build();
    return Payloads.setPicture(ImageEvent.newBuilder(), Payloads.inline(png, "image/png"))
        .setId(id)
        .setMask(Payloads.inline(png, "image/png"))
        .setRegions(Regions.newBuilder().setItems(List.of(brain)).build())
        .setWidth(4)
        .setHeight(4)
        .setPrompt("")
        .setNegativePrompt("")
        .setSeed(1)
        .setSteps(1)
        .setGuidanceScale(1)
        .setScheduler("DDIMScheduler")
        .setModel("m")
        .setModelDigest("d")
        .setAudit(audit())
        .build();
  }

  private static AuditRecord audit() {
    AuditRecord audit = new AuditRecord();
    audit.setParameters(Map.of("page", "7"));
    return audit;
  }

  @Test
  void regionsAndAreasAreBesideTheMasksAndFailuresNameTheirFile() throws Exception {
    Path scan = Files.createFile(folder.resolve("scan.nii.gz"));
    Path broken = Files.createFile(folder.resolve("broken.dcm"));
    FailureEvent failure =
        FailureEvent.newBuilder()
            .setId("b")
            .setReason(FailureReason.INVALID_REQUEST)
            .setMessage("Truncated DICOM file")
            .build();
    String text =
        new ImageReport(
                OutputFolder.create(folder.resolve("out")),
                ReportSheet.Kind.SEGMENTED,
                new PayloadStore(PayloadSettings.of(new Configuration())),
                ShownImage.of(new Configuration(), Map.of()),
                "m on cpu")
            .write(
                List.of(
                    new ImageReport.Input("a", scan, OptionalInt.of(7)),
                    new ImageReport.Input("b", broken, OptionalInt.empty())),
                new DemoRun.Results(
                    List.of(result("a")),
                    List.of(failure),
                    Duration.ofSeconds(1),
                    new Summary.BatchSizes(1, 1, 1)),
                Duration.ofSeconds(2));
    assertThat(text)
        .contains("scan.nii.gz slice 7: 1 region: brain 3.0 mm2")
        .contains("broken.dcm: INVALID_REQUEST: Truncated DICOM file");
    ObjectMapper json = new ObjectMapper();
    JsonNode summary = json.readTree(folder.resolve("out/summary.json").toFile());
    JsonNode result = summary.path("results").path(0);
    assertThat(result.path("mask").asText()).isEqualTo("pictures/scan-007-mask.png");
    assertThat(result.path("found").path(0).path("area").asDouble()).isEqualTo(3);
    assertThat(result.path("found").path(0).path("boxPixels").path(3).asDouble()).isEqualTo(3);
    assertThat(summary.path("failures").path(0).path("input").asText()).endsWith("broken.dcm");
    JsonNode regions =
        json.readTree(folder.resolve("out").resolve(result.path("regions").asText()).toFile());
    assertThat(regions.path("type").asText()).isEqualTo("FeatureCollection");
    JsonNode feature = regions.path("features").path(0);
    assertThat(feature.path("geometry").path("type").asText()).isEqualTo("Polygon");
    assertThat(feature.path("properties").path("areaPixels").asInt()).isEqualTo(12);
    assertThat(regions.path("coordinates").asText()).contains("pixels");
  }

  @Test
  void theSheetShowsTheBandsAndTheRangeThatTheModelSees() {
    Configuration job =
        new Configuration()
            .set(ImageTaskOptions.BANDS, List.of(4, 1, 2))
            .set(ImageTaskOptions.VALUE_RANGE, "0..510");
    float[] values = {0.2f, 0.4f, 0.6f, 0.8f, 1f, 0f, 0.5f, 0.1f};
    BitSet missing = new BitSet();
    missing.set(2);
    Raster scene = new Raster(4, 1, 2, values).withNoData(missing);
    Raster shown = ShownImage.of(job, Map.of()).input(scene);
    assertThat(shown.data())
        .containsExactly(new float[] {0.25f, 0.05f, 0.1f, 0.2f, 0, 0.4f}, offset(1e-6f));
  }

  @Test
  void filesOfOneNameHaveResultsOfTheirOwn() {
    List<ImageReport.Input> inputs =
        ImageReport.Input.distinct(
            List.of(
                new ImageReport.Input("a", Path.of("ct/IM1.dcm"), OptionalInt.empty()),
                new ImageReport.Input("b", Path.of("mr/IM1.dcm"), OptionalInt.empty()),
                new ImageReport.Input("c", Path.of("mr/im1.png"), OptionalInt.empty()),
                new ImageReport.Input("d", Path.of("mr/IM1-2.dcm"), OptionalInt.empty())));
    assertThat(inputs)
        .extracting(ImageReport.Input::id, ImageReport.Input::name)
        .containsExactly(
            tuple("a", "IM1"), tuple("b", "IM1-2"), tuple("c", "im1-3"), tuple("d", "IM1-2-2"));
  }

  @Test
  void filesOfWhichNoneIsAnImageAreRefusedBeforeAnythingStarts() throws IOException {
    Path text = Files.writeString(folder.resolve("notes.txt"), "hello");
    Path broken = Files.writeString(folder.resolve("cut.png"), "\u0089PNG");
    Path out = folder.resolve("out");
    assertThat(
            errors(
                () ->
                    EnhanceDemo.run(
                        text.toString(),
                        broken.toString(),
                        "--model",
                        MODELS.resolve("mini-satellite-x4").toString(),
                        "--out",
                        out.toString())))
        .contains("None of the files is an image", "notes.txt", "image/png");
    assertThat(out).doesNotExist();
  }

  @Test
  void whatTheModelDoesNotAcceptIsFoundBeforeAnythingIsStarted() {
    String out = folder.resolve("out").toString();
    String brain = MODELS.resolve("mini-brain-mask").toString();
    String upscaler = MODELS.resolve("mini-satellite-x4").toString();
    assertThat(errors(() -> SegmentDemo.run("--model", brain, "--out", out, "--steps", "99999")))
        .startsWith("error: The request takes 99999 network steps; at most ");
    assertThat(errors(() -> SegmentDemo.run("--model", brain, "--out", out, "--steps", "1001")))
        .startsWith("error: ")
        .contains("1001");
    assertThat(
            errors(() -> EnhanceDemo.run("--model", upscaler, "--out", out, "--samples", "5000")))
        .startsWith("error: ensembleSize is 5000; it must be from 1 to ");
    assertThat(
            errors(
                () ->
                    EnhanceDemo.run(
                        "--model", upscaler, "--out", out, "--parameter", "window=1,2,3")))
        .startsWith("error: ")
        .contains("window");
    assertThat(folder.resolve("out")).doesNotExist();
  }

  /** What a run that must fail says on standard error. */
  private static String errors(IntSupplier run) {
    PrintStream standardErr = System.err;
    ByteArrayOutputStream errors = new ByteArrayOutputStream();
    System.setErr(new PrintStream(errors, true, UTF_8));
    try {
      assertThat(run.getAsInt()).isEqualTo(1);
    } finally {
      System.setErr(standardErr);
    }
    return errors.toString(UTF_8);
  }

  @Test
  void aModelThatDoesNotSegmentIsRefusedAsSuch() {
    Path upscaler = MODELS.resolve("mini-satellite-x4");
    assertThat(
            SegmentDemo.run(
                "--out", folder.resolve("out").toString(), "--model", upscaler.toString()))
        .isNotZero();
    assertThat(folder.resolve("out")).doesNotExist();
    assertThatThrownBy(
            () ->
                new SegmentDemo()
                    .requireTask(io.github.flinkdiffusion.ops.weights.ModelFolder.open(upscaler)))
        .hasMessageContaining("cannot segment: it is a ConcatConditionedUpscalePipeline");
    assertThatThrownBy(
            () ->
                new DetectDemo()
                    .requireTask(io.github.flinkdiffusion.ops.weights.ModelFolder.open(upscaler)))
        .hasMessageContaining("finds nothing: it is a ConcatConditionedUpscalePipeline");
  }
}
