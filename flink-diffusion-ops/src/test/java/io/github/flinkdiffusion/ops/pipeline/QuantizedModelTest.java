/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.QuantizedFiles;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A model of quantized weights generates the image of the model of the weights that they stand for.
 */
class QuantizedModelTest {
  private static final Path MODEL = Path.of("src/test/resources/fixtures/models/tiny-dit");
  private static final String PLAIN = "transformer/diffusion_pytorch_model.safetensors";

  @TempDir private Path temp;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_K"
      })
  void aGgufFileMakesTheImageOfItsDequantizedWeights(String type) throws IOException {
    Path quantized = copyWithoutTransformer("quantized");
    Path file = quantized.resolve("transformer/tiny-" + type + ".gguf");
    try (TensorStore like = ModelFolder.open(MODEL).component("transformer").open()) {
      QuantizedFiles.gguf(file, like, type);
    }
    assertSameImage(quantized, file);
  }

  @ParameterizedTest
  @CsvSource({"F8_E4M3, false", "F8_E5M2, false", "F8_E4M3, true", "F8_E5M2, true"})
  void weightsOfEightBitsMakeTheImageOfTheFloatsThatTheyAre(DType type, boolean scaled)
      throws IOException {
    Path quantized = copyWithoutTransformer("quantized");
    Path file = quantized.resolve(PLAIN);
    try (TensorStore like = ModelFolder.open(MODEL).component("transformer").open()) {
      QuantizedFiles.eightBit(file, like, type, scaled);
    }
    assertSameImage(quantized, file);
  }

  private void assertSameImage(Path quantized, Path file) throws IOException {
    Path plain = copyWithoutTransformer("plain");
    QuantizedFiles.plain(file, plain.resolve(PLAIN));
    PipelineSettings settings =
        PipelineSettings.on(DeviceSpec.CPU).withPrecision(Precision.FLOAT32);

    assertThat(image(quantized, settings)).isEqualTo(image(plain, settings));
    assertThat(Pipelines.weightBytes(quantized, settings))
        .isEqualTo(Pipelines.weightBytes(plain, settings));
  }

  private static float[] image(Path model, PipelineSettings settings) {
    try (DiffusionPipeline pipeline = Pipelines.open(model, settings)) {
      GenerationSpec spec =
          GenerationSpec.of("id").with(Parameters.STEPS, 2L).with(Parameters.CLASS_LABEL, 7L);
      List<Trajectory> one = pipeline.start(List.of(pipeline.model().prepare(spec)));
      while (!one.get(0).done()) {
        pipeline.step(one);
      }
      return pipeline.finish(one).get(0).image().data();
    }
  }

  private Path copyWithoutTransformer(String name) throws IOException {
    Path copy = temp.resolve(name);
    try (Stream<Path> files = Files.walk(MODEL)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Path to = copy.resolve(MODEL.relativize(file));
        if (!file.toString().contains("golden") && !to.equals(copy.resolve(PLAIN))) {
          Files.createDirectories(to.getParent());
          Files.copy(file, to);
        }
      }
    }
    return copy;
  }
}
