/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.quality.Fidelity;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.QuantizedWeights;
import io.github.flinkdiffusion.ops.weights.QuantizedWeights.Kind;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.TreeSet;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A model folder with int8 or int4 weights runs as the one that it was written from. */
class ModelQuantizerTest {
  private static final Path EMOJI = Path.of("../examples/models/mini-emoji");

  @TempDir private static Path folder;

  @BeforeAll
  static void quantize() {
    ModelFolder model = ModelFolder.open(EMOJI);
    for (Kind kind : Kind.values()) {
      ModelQuantizer.write(model, ModelQuantizer.denoisers(model), kind, of(kind));
    }
  }

  private static Path of(Kind kind) {
    return folder.resolve(kind.name());
  }

  private static List<Raster> generate(Path model, String engine) {
    try (DiffusionPipeline pipeline =
        Pipelines.open(model, PipelineSettings.on(DeviceSpec.CPU).withEngine(engine))) {
      List<GenerationRequest> requests = new ArrayList<>();
      for (String prompt : List.of("a large red apple on a blue background", "a small pizza")) {
        requests.add(
            pipeline
                .model()
                .prepare(
                    GenerationSpec.of(prompt)
                        .with(Parameters.PROMPT, prompt)
                        .with(Parameters.STEPS, 6L)
                        .with(Parameters.GUIDANCE_SCALE, 2.0)));
      }
      List<Trajectory> trajectories = pipeline.start(requests);
      while (!trajectories.get(0).done()) {
        pipeline.step(trajectories);
      }
      return pipeline.finish(trajectories).stream().map(GeneratedImage::image).toList();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.PYTORCH, Engines.ONNX_RUNTIME})
  void imagesAreThoseOfTheFloatingPointModelAlmost(String engine) {
    List<Raster> before = generate(EMOJI, engine);
    assertThat(psnr(generate(of(Kind.INT8), engine), before)).isBetween(35.0, 70.0);
    assertThat(psnr(generate(of(Kind.INT4), engine), before)).isBetween(25.0, 50.0);
  }

  private static double psnr(List<Raster> after, List<Raster> before) {
    double psnr = 0;
    for (int i = 0; i < before.size(); i++) {
      psnr += Fidelity.psnr(after.get(i), before.get(i)) / before.size();
    }
    return psnr;
  }

  @ParameterizedTest
  @CsvSource({"INT8, 0.3", "INT4, 0.22"})
  void theUNetTakesAPartOfItsMemory(Kind kind, double part) {
    long before = bytes(EMOJI);
    long after = bytes(of(kind));
    assertThat(after).isLessThan((long) (part * before));
    PipelineSettings settings = PipelineSettings.on(DeviceSpec.CPU);
    assertThat(Pipelines.weightBytes(EMOJI, settings) - Pipelines.weightBytes(of(kind), settings))
        .isEqualTo(before - after);
  }

  /** Of the UNet, computed in float32. */
  private static long bytes(Path model) {
    try (TensorStore weights = ModelFolder.open(model).component("unet").open()) {
      return weights.names().stream()
          .map(weights::info)
          .mapToLong(info -> info.elements() * (info.dtype().isFloating() ? Float.BYTES : 1))
          .sum();
    }
  }

  @Test
  void aRowTimesItsScaleIsWithinHalfAStep() {
    try (TensorStore floats = ModelFolder.open(EMOJI).component("unet").open();
        TensorStore stored = ModelFolder.open(of(Kind.INT8)).component("unet").open()) {
      String name = "down_blocks.0.resnets.0.conv1.weight";
      float[] expected = floats.floats(name);
      long[] steps = stored.longs(name);
      float[] scales = stored.floats(name + QuantizedWeights.SCALE);
      int columns = expected.length / scales.length;
      for (int i = 0; i < expected.length; i++) {
        float scale = scales[i / columns];
        assertThat(Math.abs(steps[i] * scale - expected[i])).isLessThanOrEqualTo(0.501f * scale);
      }
      assertThat(stored.info("conv_norm_out.weight").dtype().isFloating()).isTrue();
    }
  }

  @Test
  void aGroupTimesItsScaleIsWithinHalfAStep() {
    try (TensorStore floats = ModelFolder.open(EMOJI).component("unet").open();
        TensorStore stored = ModelFolder.open(of(Kind.INT4)).component("unet").open()) {
      String name = "down_blocks.0.resnets.0.conv1.weight"; // rows of 27 groups
      float[] expected = floats.floats(name);
      long[] bytes = stored.longs(name);
      float[] scales = stored.floats(name + QuantizedWeights.SCALE);
      assertThat(scales).hasSize(expected.length / QuantizedWeights.GROUP);
      for (int i = 0; i < expected.length; i++) {
        long half = bytes[i / 2] >> (i % 2 * 4) & 15;
        float scale = scales[i / QuantizedWeights.GROUP];
        assertThat(Math.abs((half - 8) * scale - expected[i])).isLessThanOrEqualTo(0.501f * scale);
      }
    }
  }

  @Test
  void whatCannotBeQuantizedIsRefused() throws Exception {
    Path full = Files.createDirectory(folder.resolve("full"));
    Files.writeString(full.resolve("file"), "");
    ModelFolder model = ModelFolder.open(EMOJI);
    assertThatThrownBy(
            () -> ModelQuantizer.write(model, ModelQuantizer.denoisers(model), Kind.INT8, full))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("not empty");
    assertThatThrownBy(
            () -> ModelQuantizer.write(model, new TreeSet<>(), Kind.INT8, folder.resolve("other")))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("unet");
    for (Kind kind : Kind.values()) {
      ModelFolder already = ModelFolder.open(of(kind));
      assertThatThrownBy(
              () ->
                  ModelQuantizer.write(
                      already,
                      ModelQuantizer.denoisers(already),
                      Kind.INT8,
                      folder.resolve("twice")))
          .isInstanceOf(WeightsException.class)
          .hasMessageContaining(kind.name().toLowerCase(Locale.ROOT) + " already");
    }
  }
}
