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
 * T2I-Adapters: each kind makes diffusers' image though it is restored after every step, and
 * requests with them and without share calls.
 */
@Tag("names-its-engine")
class T2IAdaptersTest {
  private static final Path CASES =
      Path.of("src/test/resources/fixtures/folders/t2i-adapters.json.gz");

  /** A batch of another size rounds differently. */
  private static final double ROUNDING = 1e-4;

  /** The rest is compared every night. */
  private static final Set<String> QUICK =
      Set.of("light", "two adapters", "XL, a share of the steps", "other widths", "other sizes");

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

  private static GenerationSpec sketched(String id) {
    return spec(id).with(Parameters.ADAPTER_IMAGE, painted(1));
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.ONNX_RUNTIME, Engines.PYTORCH})
  void requestsOfAllKindsShareCallsAndChangeNothingForEachOther(String engine) throws IOException {
    try (DiffusionPipeline pipeline = open("XL with an IP-Adapter", engine)) {
      List<GenerationSpec> specs =
          List.of(
              spec("none"),
              sketched("a sketch"),
              sketched("a sketch at first, without guidance")
                  .with(Parameters.ADAPTER_CONDITIONING_FACTOR, 0.5)
                  .with(Parameters.GUIDANCE_SCALE, 1.0),
              sketched("half a sketch")
                  .with(Parameters.ADAPTER_CONDITIONING_SCALE, new Numbers(0.5)),
              spec("an image").with(Parameters.IP_ADAPTER_IMAGE, painted(3)),
              sketched("a sketch and an image").with(Parameters.IP_ADAPTER_IMAGE, painted(4)),
              spec("from an image")
                  .with(Parameters.IMAGE, painted(5))
                  .with(Parameters.STRENGTH, 0.5));
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

  @Test
  void refusesWhatDoesNotFitByName() throws IOException {
    try (DiffusionPipeline pipeline = open("two adapters", Engines.ONNX_RUNTIME)) {
      assertThat(
              pipeline.model().prepare(sketched("one")).get(Parameters.ADAPTER_CONDITIONING_SCALE))
          .isEqualTo(new Numbers(1));
      Map<GenerationSpec, String> refused =
          Map.of(
              spec("no image").with(Parameters.ADAPTER_CONDITIONING_SCALE, new Numbers(1)),
              "The request has an adapterConditioningScale but no adapterImage.",
              sketched("both").with(Parameters.IMAGE, painted(1)),
              "The request has an image and an adapterImage; it may have one of both.",
              sketched("three").with(Parameters.ADAPTER_CONDITIONING_SCALE, new Numbers(1, 1, 1)),
              "adapterConditioningScale has 3 numbers; it must have one, or one for each"
                  + " T2I-Adapter of the model, 2.",
              sketched("odd").with(Parameters.WIDTH, 18L),
              "The image is to have 18 x 16 pixels; with an adapterImage, both sides must be"
                  + " multiples of 4.",
              sketched("gray").with(Parameters.ADAPTER_IMAGE_2, Raster.filled(1, 16, 16, 1)),
              "adapterImage2 has 1 channels; it must have 3.");
      refused.forEach(
          (spec, message) ->
              assertThatThrownBy(() -> pipeline.model().prepare(spec))
                  .isInstanceOf(InvalidRequestException.class)
                  .hasMessageStartingWith(message));
    }
  }
}
