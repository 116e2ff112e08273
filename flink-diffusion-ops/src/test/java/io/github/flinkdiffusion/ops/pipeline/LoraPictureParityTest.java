/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.weights.Lora;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The picture of a model with two LoRAs is diffusers', from archives that are kept, too. */
class LoraPictureParityTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures");
  private static final Path LORAS = FIXTURES.resolve("lora");
  private static final Offset<Float> TOLERANCE = Offset.offset(1e-3f);

  private static final Path TRANSFORMERS = LORAS.resolve("transformers");

  @TempDir private Path archives;

  private float[] picture(List<Lora> loras) {
    PipelineSettings settings =
        PipelineSettings.on(DeviceSpec.CPU).withLoras(loras).withArchives(archives);
    try (DiffusionPipeline pipeline =
        Pipelines.open(FIXTURES.resolve("models/tiny-sd1"), settings)) {
      GenerationSpec spec =
          GenerationSpec.of("cat")
              .with(Parameters.PROMPT, "a photo of a small cat")
              .with(Parameters.SEED, 3L)
              .with(Parameters.STEPS, 4L)
              .with(Parameters.GUIDANCE_SCALE, 5.0);
      List<Trajectory> alone = pipeline.start(List.of(pipeline.model().prepare(spec)));
      while (!alone.get(0).done()) {
        pipeline.step(alone);
      }
      return pipeline.finish(alone).get(0).image().data();
    }
  }

  @Test
  void isTheReferencesAndNotThatOfThePlainModel() {
    List<Lora> loras =
        List.of(
            new Lora(LORAS.resolve("kohya-sd1.safetensors"), 0.7),
            new Lora(LORAS.resolve("peft.safetensors"), -0.4));
    float[] expected;
    try (TensorStore golden = Safetensors.open(LORAS.resolve("merged-two.safetensors"))) {
      expected = golden.floats("picture");
    }
    float[] plain = picture(List.of());
    assertThat(picture(loras)).containsExactly(expected, TOLERANCE);
    assertThat(picture(loras)).as("from kept archives").containsExactly(expected, TOLERANCE);
    assertThat(largestDifference(plain, expected)).isGreaterThan(0.05);
  }

  /** An image of a diffusion transformer with a LoRA, as peft makes it. */
  private record TransformerRun(JsonNode json) {
    Lora lora() {
      return new Lora(
          TRANSFORMERS.resolve(json.get("file").asText()), json.get("scale").asDouble());
    }

    GenerationSpec spec() {
      GenerationSpec spec =
          GenerationSpec.of("one").with(Parameters.SEED, json.get("seed").asLong());
      for (Map.Entry<String, JsonNode> argument : json.get("arguments").properties()) {
        spec =
            ReferenceCalls.with(
                spec, ReferenceCalls.parameter(argument.getKey()), argument.getValue());
      }
      return spec;
    }

    float[] picture(List<Lora> loras) {
      try (DiffusionPipeline pipeline =
          Pipelines.open(
              FIXTURES.resolve("models").resolve(json.get("model").asText()),
              PipelineSettings.on(DeviceSpec.CPU).withLoras(loras))) {
        List<Trajectory> alone = pipeline.start(List.of(pipeline.model().prepare(spec())));
        while (!alone.get(0).done()) {
          pipeline.step(alone);
        }
        return pipeline.finish(alone).get(0).image().data();
      }
    }

    @Override
    public String toString() {
      return json.get("name").asText();
    }
  }

  static Stream<TransformerRun> transformers() throws IOException {
    JsonNode cases = new ObjectMapper().readTree(TRANSFORMERS.resolve("cases.json").toFile());
    return StreamSupport.stream(cases.spliterator(), false).map(TransformerRun::new);
  }

  /** Files of diffusers and PEFT, of kohya's programs and of ai-toolkit. */
  @ParameterizedTest
  @MethodSource("transformers")
  void ofTransformersItIsTheReferencesToo(TransformerRun run) {
    float[] expected;
    try (TensorStore pictures = Safetensors.open(TRANSFORMERS.resolve("pictures.safetensors"))) {
      expected = pictures.floats(run.toString());
    }
    assertThat(run.picture(List.of(run.lora()))).containsExactly(expected, TOLERANCE);
    assertThat(largestDifference(run.picture(List.of()), expected)).isGreaterThan(0.01);
  }

  private static double largestDifference(float[] a, float[] b) {
    double largest = 0;
    for (int i = 0; i < a.length; i++) {
      largest = Math.max(largest, Math.abs(a[i] - b[i]));
    }
    return largest;
  }

  @Test
  void theModelSaysWhatItWasLoadedAs() {
    Lora lora = new Lora(LORAS.resolve("peft.safetensors"), -0.4);
    PipelineSettings plain = PipelineSettings.on(DeviceSpec.CPU);
    ModelInfo without = info(plain);
    assertThat(without.loadedAs())
        .isEqualTo(
            Map.of(
                "pipeline", "StableDiffusionPipeline",
                "precision", "FLOAT32",
                "device", "cpu",
                "engine", plain.engine(Precision.FLOAT32, attending()).version(),
                "watermark", "false"));
    ModelInfo with = info(plain.withLoras(List.of(lora)).withWatermark(true));
    assertThat(with.loadedAs())
        .containsEntry("loras", "peft.safetensors=-0.4")
        .containsEntry("watermark", "true");
    assertThat(with.digest()).isNotEqualTo(without.digest());
    assertThat(info(plain.withLoras(List.of(new Lora(lora.file(), -0.3)))).digest())
        .isNotEqualTo(with.digest());
  }

  private static ModelInfo info(PipelineSettings settings) {
    try (DiffusionPipeline pipeline =
        Pipelines.open(FIXTURES.resolve("models/tiny-sd1"), settings)) {
      ModelInfo info = pipeline.model().info();
      // A pipeline that is closed before its weights have been read has no digest.
      assertThat(info.digest()).hasSize(64);
      return info;
    }
  }

  private static Graph attending() {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value x = forward.input("x", 4);
    forward.returns(forward.attention(x, x, x, false));
    return graph;
  }
}
