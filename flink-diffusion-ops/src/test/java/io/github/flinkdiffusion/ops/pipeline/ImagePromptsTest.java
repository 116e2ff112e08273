/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * IP-Adapters: each kind makes diffusers' image though it is restored after every step, and
 * requests of all kinds share calls.
 */
@Tag("names-its-engine")
class ImagePromptsTest {
  private static final Path CASES =
      Path.of("src/test/resources/fixtures/folders/ip-adapters.json.gz");

  private static final double TOLERANCE = 1e-3;

  /** A batch of another size rounds differently. */
  private static final double ROUNDING = 1e-4;

  /** The rest is compared every night. */
  private static final Set<String> QUICK =
      Set.of(
          "plus, two images",
          "an encoder beside the file",
          "full face",
          "three adapters of XL",
          "plain, with a ControlNet",
          "context alone",
          "FaceID",
          "an adapter of another context");

  @TempDir private static Path temp;
  private static Path folder;
  private static PipelineSettings settings;
  private static final Map<String, DiffusionPipeline> PIPELINES = new HashMap<>();

  @BeforeAll
  static void open() throws IOException {
    folder = temp.resolve("two");
    FolderCase two = named("plus, with two ControlNets");
    two.write(folder);
    settings = two.settings(folder);
    for (String engine : List.of(Engines.ONNX_RUNTIME, Engines.PYTORCH)) {
      PIPELINES.put(engine, Pipelines.open(folder, settings.withEngine(engine)));
    }
  }

  private static FolderCase named(String name) throws IOException {
    return FolderCase.read(CASES).stream()
        .filter(each -> each.name().equals(name))
        .findFirst()
        .orElseThrow();
  }

  @AfterAll
  static void close() {
    PIPELINES.values().forEach(DiffusionPipeline::close);
    PIPELINES.clear();
  }

  private static DiffusionPipeline pipeline() {
    return PIPELINES.get(Engines.ONNX_RUNTIME);
  }

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
    compare(given, engine, temp);
  }

  @ParameterizedTest
  @MethodSource("others")
  @Tag("nightly")
  void makesTheReferencesImageOfTheOthersToo(FolderCase given, String engine) throws IOException {
    compare(given, engine, temp);
  }

  /** A folder's image, with trajectories restored after every step; or that it is refused. */
  static void compare(FolderCase given, String engine, Path temp) throws IOException {
    Path own = Files.createTempDirectory(temp, "case");
    given.write(own);
    PipelineSettings how = given.settings(own).withEngine(engine);
    JsonNode expected = given.expected().get(0);
    if (expected.has("refused")) {
      assertThatThrownBy(
              () -> {
                try (DiffusionPipeline pipeline = Pipelines.open(own, how)) {
                  pipeline.model().prepare(given.spec(0));
                }
              })
          .as("refused there: %s", expected.get("refused"))
          .isInstanceOfAny(WeightsException.class, InvalidRequestException.class);
      return;
    }
    try (DiffusionPipeline pipeline = Pipelines.open(own, how)) {
      Raster image = restored(pipeline, given.spec(expected.get("seed").asLong()));
      assertThat(FolderCase.distance(image, FolderCase.expectedPicture(expected)))
          .isLessThanOrEqualTo(TOLERANCE);
    }
  }

  /** Restored after every step. */
  private static Raster restored(DiffusionPipeline pipeline, GenerationSpec spec) {
    List<Trajectory> trajectory = pipeline.start(List.of(pipeline.model().prepare(spec)));
    while (!trajectory.get(0).done()) {
      trajectory = pipeline.restore(List.of(trajectory.get(0).snapshot()));
      pipeline.step(trajectory);
    }
    return pipeline.finish(trajectory).get(0).image();
  }

  private static Raster painted(int seed) {
    float[] values = new float[3 * 24 * 20];
    for (int i = 0; i < values.length; i++) {
      values[i] = (i * (7 + seed) + seed) % 29 / 28f;
    }
    return new Raster(3, 24, 20, values);
  }

  private static Raster small(int seed) {
    return new Raster(3, 16, 16, java.util.Arrays.copyOf(painted(seed).data(), 3 * 16 * 16));
  }

  private static GenerationSpec spec(String id) {
    return GenerationSpec.of(id)
        .with(Parameters.PROMPT, "a table")
        .with(Parameters.STEPS, 4L)
        .with(Parameters.WIDTH, 16L)
        .with(Parameters.HEIGHT, 16L);
  }

  private static GenerationSpec shown(String id) {
    return spec(id).with(Parameters.IP_ADAPTER_IMAGE, painted(1));
  }

  static Raster alone(DiffusionPipeline pipeline, GenerationSpec spec) {
    List<Trajectory> trajectory = pipeline.start(List.of(pipeline.model().prepare(spec)));
    while (!trajectory.get(0).done()) {
      pipeline.step(trajectory);
    }
    return pipeline.finish(trajectory).get(0).image();
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.ONNX_RUNTIME, Engines.PYTORCH})
  void requestsOfAllKindsShareCallsAndChangeNothingForEachOther(String engine) {
    DiffusionPipeline pipeline = PIPELINES.get(engine);
    List<GenerationSpec> specs =
        List.of(
            spec("none"),
            shown("an image"),
            shown("three images, without guidance")
                .with(Parameters.IP_ADAPTER_IMAGE_2, painted(2))
                .with(Parameters.IP_ADAPTER_IMAGE_3, painted(3))
                .with(Parameters.GUIDANCE_SCALE, 1.0),
            shown("a scale, no prompt")
                .with(Parameters.PROMPT, "")
                .with(Parameters.IP_ADAPTER_SCALE, new Numbers(0.7)),
            spec("controlled").with(Parameters.CONTROL_IMAGE, small(4)),
            shown("an image, controlled at first")
                .with(Parameters.CONTROL_IMAGE_2, small(5))
                .with(Parameters.CONTROL_GUIDANCE_END, new Numbers(0.5)),
            shown("guidance at first").with(Parameters.GUIDANCE_INTERVAL, new Numbers(0, 0.5)),
            shown("from an image").with(Parameters.IMAGE, small(6)).with(Parameters.STRENGTH, 0.5),
            shown("a part of an image")
                .with(Parameters.IMAGE, small(7))
                .with(Parameters.MASK, Raster.filled(1, 16, 16, 1)));
    Map<String, Trajectory> all = new TreeMap<>();
    for (GenerationSpec spec : specs) {
      Trajectory next = pipeline.start(List.of(pipeline.model().prepare(spec))).get(0);
      all.put(spec.id(), next);
      assertThat(next.batchKey()).isEqualTo(all.get(specs.get(0).id()).batchKey());
      // The earlier ones are steps ahead.
      step(pipeline, all);
    }
    while (!all.values().stream().allMatch(Trajectory::done)) {
      step(pipeline, all);
    }
    Raster plain = alone(pipeline, spec("none"));
    for (GenerationSpec spec : specs) {
      Raster shared = pipeline.finish(List.of(all.get(spec.id()))).get(0).image();
      assertThat(FolderCase.distance(shared, alone(pipeline, spec)))
          .as(spec.id())
          .isLessThan(ROUNDING);
      // Else there would be nothing to see here.
      double seen =
          FolderCase.distance(plain, alone(pipeline, new GenerationSpec("none", spec.arguments())));
      assertThat(seen).as(spec.id()).matches(far -> far > 0.02 || spec.id().equals("none"));
    }
  }

  static void step(DiffusionPipeline pipeline, Map<String, Trajectory> all) {
    List<Trajectory> going = all.values().stream().filter(each -> !each.done()).toList();
    if (!going.isEmpty()) {
      pipeline.step(going);
    }
  }

  @Test
  void withoutImagesTheSameNetworksMakeWhatStableDiffusionMakes() {
    try (DiffusionPipeline plain =
        Pipelines.openAs(
            "StableDiffusionPipeline",
            folder,
            PipelineSettings.on(DeviceSpec.CPU).withEngine(Engines.ONNX_RUNTIME))) {
      assertThat(FolderCase.distance(alone(plain, spec("same")), alone(pipeline(), spec("same"))))
          .isZero();
    }
  }

  @Test
  void decideAnImageByTheirContentAndName() throws IOException {
    PipelineSettings without = PipelineSettings.on(DeviceSpec.CPU);
    assertThat(Pipelines.digest(folder, settings)).isNotEqualTo(Pipelines.digest(folder, without));
    assertThat(Pipelines.weightBytes(folder, settings))
        .isGreaterThan(Pipelines.weightBytes(folder, without));
    assertThat(pipeline().model().info().loadedAs())
        .containsEntry("ipAdapters", "ip-plus.safetensors");
    // Another file of the same name is another adapter.
    Path other = Files.createDirectory(temp.resolve("other")).resolve("ip-plus.safetensors");
    byte[] bytes = Files.readAllBytes(settings.ipAdapters().get(0));
    bytes[bytes.length - 1] ^= 1;
    Files.write(other, bytes);
    assertThat(Pipelines.digest(folder, without.withIpAdapters(List.of(other), Optional.empty())))
        .isNotEqualTo(Pipelines.digest(folder, settings));
  }

  @Test
  void fillsInTheReferencesDefaults() {
    assertThat(pipeline().model().prepare(shown("one")).get(Parameters.IP_ADAPTER_SCALE))
        .isEqualTo(new Numbers(1));
    assertThat(pipeline().model().prepare(spec("none")).get(Parameters.IP_ADAPTER_SCALE)).isNull();
  }

  @Test
  void refusesWhatDoesNotFitByName() {
    List<Map.Entry<GenerationSpec, String>> refused = new ArrayList<>();
    refused.add(
        Map.entry(
            spec("no image").with(Parameters.IP_ADAPTER_SCALE, new Numbers(1)),
            "The request has a ipAdapterScale but no ipAdapterImage."));
    refused.add(
        Map.entry(
            spec("gray").with(Parameters.IP_ADAPTER_IMAGE, Raster.filled(1, 16, 16, 1)),
            "ipAdapterImage has 1 channels; it must have 3."));
    refused.add(
        Map.entry(
            shown("two").with(Parameters.IP_ADAPTER_SCALE, new Numbers(1, 1)),
            "ipAdapterScale has 2 numbers; it must have one, or one for each IP-Adapter of the"
                + " model, 1."));
    refused.add(
        Map.entry(
            shown("inverted")
                .with(Parameters.IMAGE, small(1))
                .with(Parameters.SOURCE_PROMPT, "a chair"),
            "The request has a sourcePrompt and an ipAdapterImage; it may have one of both."));
    for (Map.Entry<GenerationSpec, String> each : refused) {
      assertThatThrownBy(() -> pipeline().model().prepare(each.getKey()))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageStartingWith(each.getValue());
    }
  }

  @Test
  void refusesFilesThatAreNoneAndTasksThatTakeNone() throws IOException {
    PipelineSettings plain = PipelineSettings.on(DeviceSpec.CPU);
    Path pickled = Files.writeString(temp.resolve("ip.bin"), "pickled");
    Map<List<Path>, String> refused =
        Map.of(
            List.of(temp.resolve("nowhere.safetensors")), "does not exist",
            List.of(pickled), "expected a .safetensors file",
            List.of(folder.resolve("unet/diffusion_pytorch_model.safetensors")),
                "is no IP-Adapter");
    refused.forEach(
        (files, message) ->
            assertThatThrownBy(
                    () ->
                        Pipelines.open(
                            folder,
                            plain.withIpAdapters(
                                files, Optional.of(folder.resolve("image_encoder")))))
                .isInstanceOf(WeightsException.class)
                .hasMessageContaining(message));
    FolderCase variation =
        FolderCase.read(Path.of("src/test/resources/fixtures/folders/random.json.gz")).stream()
            .filter(
                each ->
                    each.json()
                        .get("pipeline")
                        .asText()
                        .equals("StableDiffusionInstructPix2PixPipeline"))
            .findFirst()
            .orElseThrow();
    Path other = temp.resolve("instruct");
    variation.write(other);
    assertThatThrownBy(
            () ->
                Pipelines.open(
                    other,
                    plain.withIpAdapters(
                        settings.ipAdapters(), Optional.of(folder.resolve("image_encoder")))))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("diffusion.model.ip-adapters");
  }
}
