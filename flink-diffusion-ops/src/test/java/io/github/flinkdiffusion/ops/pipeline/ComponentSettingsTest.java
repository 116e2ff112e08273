/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ComponentSettingsTest {
  private static final Path MODELS = Path.of("src/test/resources/fixtures/models");
  private static final Path SD = MODELS.resolve("tiny-sd1");
  private static final Path XL = MODELS.resolve("tiny-sdxl");

  @TempDir private Path temp;

  private static PipelineSettings in(Precision precision, Map<String, Precision> components) {
    return PipelineSettings.on(DeviceSpec.CPU)
        .withPrecision(precision)
        .withSafetyChecker(false)
        .withComponents(ComponentSettings.of(components, Map.of(), false));
  }

  private static PipelineSettings unloading(Precision precision) {
    return in(precision, Map.of()).withComponents(ComponentSettings.of(Map.of(), Map.of(), true));
  }

  @Test
  void eachComponentComputesInItsOwnPrecision() {
    float[] exact = image(SD, in(Precision.FLOAT32, Map.of()));
    float[] mixed = image(SD, in(Precision.FLOAT32, Map.of("text_encoder", Precision.BFLOAT16)));
    float[] sameOtherwise =
        image(
            SD,
            in(Precision.BFLOAT16, Map.of("unet", Precision.FLOAT32, "vae", Precision.FLOAT32)));

    assertThat(mixed).isNotEqualTo(exact).isEqualTo(sameOtherwise);
  }

  @Test
  void thePrecisionsDecideAnImage() {
    try (DiffusionPipeline pipeline =
            Pipelines.open(SD, in(Precision.FLOAT32, Map.of("vae", Precision.BFLOAT16)));
        DiffusionPipeline plain = Pipelines.open(SD, in(Precision.FLOAT32, Map.of()))) {
      assertThat(pipeline.model().info().loadedAs())
          .containsEntry(Basis.PRECISION, "FLOAT32")
          .containsEntry(Basis.COMPONENTS, "vae=BFLOAT16 on cpu");
      assertThat(plain.model().info().loadedAs()).doesNotContainKey(Basis.COMPONENTS);
    }
  }

  @Test
  void memoryIsThatOfEachComponentsPrecision() {
    long unet = elements(SD, "unet");
    long encoder = elements(SD, "text_encoder");
    long both = Pipelines.weightBytes(SD, in(Precision.FLOAT32, Map.of()));
    assertThat(Pipelines.weightBytes(SD, in(Precision.FLOAT32, Map.of("unet", Precision.BFLOAT16))))
        .isEqualTo(both - 2 * unet);
    // The network stays in float32 whose config says force_upcast.
    assertThat(Pipelines.weightBytes(SD, in(Precision.FLOAT16, Map.of())))
        .isGreaterThan(both - 2 * (unet + encoder + elements(SD, "vae")));
  }

  @Test
  void componentsOnAnotherDeviceTakeNoMemoryOfThisOne() {
    PipelineSettings settings =
        PipelineSettings.on(new DeviceSpec(0))
            .withSafetyChecker(false)
            .withComponents(
                ComponentSettings.of(Map.of(), Map.of("text_encoder", DeviceSpec.CPU), false));

    assertThat(settings.precision("text_encoder")).isEqualTo(Precision.FLOAT32);
    assertThat(settings.precision("unet")).isEqualTo(Precision.FLOAT16);
    // The encoder has the positions 0 to 76 as a tensor, too.
    long positions = 77 * Long.BYTES;
    assertThat(Pipelines.weightBytes(SD, settings, DeviceSpec.CPU))
        .isEqualTo(4 * elements(SD, "text_encoder") + positions);
    assertThat(Pipelines.weightBytes(SD, settings))
        .isEqualTo(
            Pipelines.weightBytes(SD, settings.withComponents(ComponentSettings.SAME))
                - 2 * elements(SD, "text_encoder")
                - positions);
  }

  @Test
  void anUnloadedTextEncoderMakesTheSameImage() {
    assertThat(image(XL, unloading(Precision.FLOAT32)))
        .isEqualTo(image(XL, in(Precision.FLOAT32, Map.of())));
    long smaller = 4 * Math.min(elements(XL, "text_encoder"), elements(XL, "text_encoder_2"));
    assertThat(Pipelines.weightBytes(XL, unloading(Precision.FLOAT32)))
        .isEqualTo(Pipelines.weightBytes(XL, in(Precision.FLOAT32, Map.of())) - smaller);
  }

  @Test
  void anUnloadedTextEncoderWhoseFileWasReplacedIsNotLoadedAgain() throws IOException {
    Path model = copy(SD);
    Path weights = weights(model.resolve("text_encoder"));
    try (DiffusionPipeline pipeline = Pipelines.open(model, unloading(Precision.FLOAT32))) {
      pipeline.model().info().digest();
      Path other = Files.copy(weights, temp.resolve("other"));
      Files.move(other, weights, StandardCopyOption.ATOMIC_MOVE);

      assertThatThrownBy(() -> image(pipeline))
          .isInstanceOf(WeightsException.class)
          .hasMessageContaining(weights.toString());
    }
  }

  @Test
  void aComponentThatTheModelDoesNotHaveIsRefused() {
    PipelineSettings settings = in(Precision.FLOAT32, Map.of("text_encoder_3", Precision.FLOAT16));
    assertThatThrownBy(() -> Pipelines.open(SD, settings))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("no network 'text_encoder_3' for option diffusion.model.precisions")
        .hasMessageContaining("text_encoder, unet, vae");
    PipelineSettings placed =
        in(Precision.FLOAT32, Map.of())
            .withComponents(
                ComponentSettings.of(Map.of(), Map.of("scheduler", DeviceSpec.CPU), false));
    assertThatThrownBy(() -> Pipelines.open(SD, placed))
        .hasMessageContaining("no network 'scheduler' for option diffusion.model.devices");
  }

  private static float[] image(Path model, PipelineSettings settings) {
    try (DiffusionPipeline pipeline = Pipelines.open(model, settings)) {
      return image(pipeline);
    }
  }

  private static float[] image(DiffusionPipeline pipeline) {
    GenerationSpec spec =
        GenerationSpec.of("id").with(Parameters.STEPS, 2L).with(Parameters.PROMPT, "a red apple");
    List<Trajectory> one = pipeline.start(List.of(pipeline.model().prepare(spec)));
    while (!one.get(0).done()) {
      pipeline.step(one);
    }
    return pipeline.finish(one).get(0).image().data();
  }

  private static long elements(Path model, String component) {
    try (TensorStore store = ModelFolder.open(model).component(component).open()) {
      return store.names().stream()
          .filter(name -> store.info(name).dtype().isFloating())
          .mapToLong(name -> store.info(name).elements())
          .sum();
    }
  }

  private static Path weights(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files
          .filter(file -> file.toString().endsWith(".safetensors"))
          .findFirst()
          .orElseThrow();
    }
  }

  private Path copy(Path model) throws IOException {
    Path copy = temp.resolve("copy");
    try (Stream<Path> files = Files.walk(model)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Path to = copy.resolve(model.relativize(file));
        Files.createDirectories(to.getParent());
        Files.copy(file, to);
      }
    }
    return copy;
  }
}
