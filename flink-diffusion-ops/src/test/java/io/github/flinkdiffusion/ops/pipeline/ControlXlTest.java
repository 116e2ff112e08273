/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * ControlNets of Stable Diffusion XL make diffusers' images though trajectories are restored after
 * every step, and requests with and without control share calls.
 */
@Tag("names-its-engine")
class ControlXlTest {
  private static final Path CASES =
      Path.of("src/test/resources/fixtures/folders/control-xl.json.gz");

  /** A batch of another size rounds differently. */
  private static final double ROUNDING = 1e-4;

  /** The rest is compared every night. */
  private static final Set<String> QUICK =
      Set.of(
          "two networks, StableDiffusionXLControlNetInpaintPipeline",
          "defaults of StableDiffusionXLControlNetImg2ImgPipeline",
          "union, a scale and a share of steps, StableDiffusionXLControlNetUnionPipeline",
          "union of another kind",
          "another context");

  @TempDir private static Path temp;

  static Stream<Arguments> quick() throws IOException {
    return cases(true);
  }

  static Stream<Arguments> others() throws IOException {
    return cases(false);
  }

  private static Stream<Arguments> cases(boolean quick) throws IOException {
    return FolderCase.read(CASES).stream()
        .filter(each -> QUICK.contains(each.name()) == quick)
        .flatMap(
            each ->
                Stream.of(Engines.ONNX_RUNTIME, Engines.PYTORCH)
                    .map(engine -> Arguments.of(each, engine)));
  }

  @ParameterizedTest
  @MethodSource("quick")
  void makesTheReferencesImage(FolderCase given, String engine) throws IOException {
    ImagePromptsTest.compare(given, engine, temp);
  }

  @ParameterizedTest
  @MethodSource("others")
  @Tag("nightly")
  void makesTheReferencesImageOfTheOthersToo(FolderCase given, String engine) throws IOException {
    ImagePromptsTest.compare(given, engine, temp);
  }

  private static Raster painted(int seed) {
    float[] values = new float[3 * 16 * 16];
    for (int i = 0; i < values.length; i++) {
      values[i] = (i * (7 + seed) + seed) % 29 / 28f;
    }
    return new Raster(3, 16, 16, values);
  }

  private static GenerationSpec spec(String id) {
    return GenerationSpec.of(id)
        .with(Parameters.PROMPT, "a table")
        .with(Parameters.STEPS, 4L)
        .with(Parameters.WIDTH, 16L)
        .with(Parameters.HEIGHT, 16L);
  }

  private static GenerationSpec controlled(String id) {
    return spec(id).with(Parameters.CONTROL_IMAGE, painted(1));
  }

  private static DiffusionPipeline open(String name, String engine) throws IOException {
    FolderCase given =
        FolderCase.read(CASES).stream()
            .filter(each -> each.name().equals(name))
            .findFirst()
            .orElseThrow();
    Path folder = Files.createTempDirectory(temp, engine);
    given.write(folder);
    return Pipelines.open(folder, given.settings(folder).withEngine(engine));
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.ONNX_RUNTIME, Engines.PYTORCH})
  void requestsOfAllKindsOfImagesShareCalls(String engine) throws IOException {
    try (DiffusionPipeline pipeline =
        open("union, StableDiffusionXLControlNetUnionPipeline", engine)) {
      checkShared(
          pipeline,
          List.of(
              spec("none"),
              controlled("a pose").with(Parameters.CONTROL_MODE, 0L),
              controlled("edges, without guidance")
                  .with(Parameters.CONTROL_MODE, 3L)
                  .with(Parameters.GUIDANCE_SCALE, 1.0),
              controlled("at first")
                  .with(Parameters.CONTROL_MODE, 5L)
                  .with(Parameters.CONTROL_GUIDANCE_END, new Numbers(0.5)),
              controlled("from an image")
                  .with(Parameters.CONTROL_MODE, 1L)
                  .with(Parameters.IMAGE, painted(6))));
    }
  }

  @Test
  void aUnionIsToldWhatTheImageIs() throws IOException {
    try (DiffusionPipeline pipeline =
        open("union, StableDiffusionXLControlNetUnionPipeline", Engines.ONNX_RUNTIME)) {
      Map<GenerationSpec, String> refused =
          Map.of(
              controlled("nothing said"),
              "controlMode is absent; with a controlImage, it must be a whole number from 0 to 5",
              controlled("another").with(Parameters.CONTROL_MODE, 6L),
              "controlMode is 6; with a controlImage, it must be a whole number from 0 to 5",
              controlled("guessing")
                  .with(Parameters.CONTROL_MODE, 1L)
                  .with(Parameters.GUESS_MODE, 1L),
              "guessMode is 1; a ControlNet for several kinds of images knows no guess mode.",
              spec("no image").with(Parameters.CONTROL_MODE, 1L),
              "The request has a controlMode but no controlImage.");
      refused.forEach(
          (spec, message) ->
              assertThatThrownBy(() -> pipeline.model().prepare(spec))
                  .isInstanceOf(InvalidRequestException.class)
                  .hasMessageStartingWith(message));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.ONNX_RUNTIME, Engines.PYTORCH})
  void requestsOfAllKindsShareCallsAndChangeNothingForEachOther(String engine) throws IOException {
    try (DiffusionPipeline pipeline = open("an IP-Adapter plus and two networks", engine)) {
      List<GenerationSpec> specs =
          List.of(
              spec("none"),
              controlled("the first"),
              spec("the second, without guidance")
                  .with(Parameters.CONTROL_IMAGE_2, painted(2))
                  .with(Parameters.GUIDANCE_SCALE, 1.0),
              controlled("both, at first")
                  .with(Parameters.CONTROL_IMAGE_2, painted(3))
                  .with(Parameters.CONTROL_GUIDANCE_END, new Numbers(0.5)),
              controlled("an image, guessing")
                  .with(Parameters.IP_ADAPTER_IMAGE, painted(4))
                  .with(Parameters.GUESS_MODE, 1L),
              spec("an image alone").with(Parameters.IP_ADAPTER_IMAGE, painted(5)),
              controlled("a part of an image")
                  .with(Parameters.IMAGE, painted(6))
                  .with(Parameters.MASK, Raster.filled(1, 16, 16, 1)));
      checkShared(pipeline, specs);
    }
  }

  private static void checkShared(DiffusionPipeline pipeline, List<GenerationSpec> specs) {
    Map<String, Trajectory> all = new TreeMap<>();
    for (GenerationSpec spec : specs) {
      Trajectory next = pipeline.start(List.of(pipeline.model().prepare(spec))).get(0);
      all.put(spec.id(), next);
      assertThat(next.batchKey()).isEqualTo(all.get(specs.get(0).id()).batchKey());
      // The earlier ones are steps ahead.
      ImagePromptsTest.step(pipeline, all);
    }
    while (!all.values().stream().allMatch(Trajectory::done)) {
      ImagePromptsTest.step(pipeline, all);
    }
    Raster plain = ImagePromptsTest.alone(pipeline, spec("none"));
    for (GenerationSpec spec : specs) {
      Raster shared = pipeline.finish(List.of(all.get(spec.id()))).get(0).image();
      assertThat(FolderCase.distance(shared, ImagePromptsTest.alone(pipeline, spec)))
          .as(spec.id())
          .isLessThan(ROUNDING);
      // Else there would be nothing to see here.
      double seen =
          FolderCase.distance(
              plain,
              ImagePromptsTest.alone(pipeline, new GenerationSpec("none", spec.arguments())));
      assertThat(seen).as(spec.id()).matches(far -> far > 0.02 || spec.id().equals("none"));
    }
  }
}
