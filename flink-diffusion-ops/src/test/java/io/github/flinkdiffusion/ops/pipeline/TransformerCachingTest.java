/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Steps of diffusion transformers that reuse what the inner blocks added in earlier ones. */
class TransformerCachingTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures");
  private static final Path RUNS = FIXTURES.resolve("transformer-cache");
  private static final Offset<Float> REFERENCE = Offset.offset(1e-3f);

  private static PipelineSettings settings() {
    return PipelineSettings.on(DeviceSpec.CPU)
        .withEngine(System.getProperty("flinkdiffusion.engine", Engines.AUTO));
  }

  private static DiffusionPipeline open(String model, Caching caching) {
    return Pipelines.open(
        FIXTURES.resolve("models").resolve(model), settings().withCaching(caching));
  }

  /** An image whose first step is whole, as diffusers' FirstBlockCache makes it. */
  private record Run(JsonNode json) {
    GenerationSpec spec() {
      GenerationSpec spec =
          GenerationSpec.of("one").with(Parameters.SEED, json.get("seed").asLong());
      for (Map.Entry<String, JsonNode> argument : json.get("arguments").properties()) {
        if (!argument.getKey().equals("use_resolution_binning")) {
          spec =
              ReferenceCalls.with(
                  spec, ReferenceCalls.parameter(argument.getKey()), argument.getValue());
        }
      }
      return spec;
    }

    @Override
    public String toString() {
      return json.get("model").asText();
    }
  }

  static Stream<Run> runs() throws IOException {
    JsonNode cases = new ObjectMapper().readTree(RUNS.resolve("cases.json").toFile());
    return StreamSupport.stream(cases.spliterator(), false).map(Run::new);
  }

  @ParameterizedTest
  @MethodSource("runs")
  void anImageIsTheReferencesWhenOneStepIsWhole(Run run) {
    float[] expected;
    try (TensorStore pictures = Safetensors.open(RUNS.resolve("pictures.safetensors"))) {
      expected = pictures.floats(run.toString());
    }
    try (DiffusionPipeline pipeline =
        open(run.toString(), new Caching(Caching.LONGEST_INTERVAL, 0, 1L << 30))) {
      GenerationRequest reused = pipeline.model().prepare(run.spec());
      assertThat(CachingTest.generate(pipeline, List.of(reused)).get("one").data())
          .containsExactly(expected, REFERENCE);
      GenerationRequest whole =
          pipeline.model().prepare(run.spec().with(Parameters.CACHE_INTERVAL, 1L));
      assertThat(distance(CachingTest.generate(pipeline, List.of(whole)).get("one"), expected))
          .isGreaterThan(2 * REFERENCE.value);
    }
  }

  private static float distance(Raster image, float[] expected) {
    float largest = 0;
    for (int i = 0; i < expected.length; i++) {
      largest = Math.max(largest, Math.abs(image.data()[i] - expected[i]));
    }
    return largest;
  }

  @ParameterizedTest
  @ValueSource(strings = {"tiny-flux-dev", "tiny-sd3-medium", "tiny-z-image"})
  void anImageIsTheSameAloneWithOthersAndRestored(String model) {
    requireSame(model);
  }

  @Tag("nightly")
  @ParameterizedTest
  @ValueSource(
      strings = {"tiny-sd3", "tiny-qwen-image", "tiny-pixart-sigma", "tiny-sana", "tiny-lumina-2"})
  void soIsOneOfTheOtherFamilies(String model) {
    requireSame(model);
  }

  private static GenerationRequest request(DiffusionPipeline pipeline, int number, long interval) {
    GenerationSpec spec =
        GenerationSpec.of("request-" + number)
            .with(Parameters.PROMPT, "a red apple on a wooden table " + number)
            .with(Parameters.STEPS, 5L)
            .with(Parameters.WIDTH, 48L)
            .with(Parameters.HEIGHT, 32L)
            .with(Parameters.CACHE_INTERVAL, interval);
    return pipeline.model().prepare(spec);
  }

  private static void requireSame(String model) {
    try (DiffusionPipeline pipeline = open(model, new Caching(1, 0, 1L << 30))) {
      List<GenerationRequest> all = new ArrayList<>();
      for (int i = 0; i < 6; i++) {
        all.add(request(pipeline, i, 1 + i % 3));
      }
      Map<String, Raster> together = CachingTest.generate(pipeline, all);
      for (GenerationRequest each : all.subList(0, 3)) {
        CachingTest.assertSame(
            CachingTest.generate(pipeline, List.of(each)).get(each.id()), together.get(each.id()));
      }
      GenerationRequest saved = all.get(2);
      for (int steps = 1; steps < 5; steps++) {
        List<Trajectory> first = pipeline.start(List.of(saved));
        for (int i = 0; i < steps; i++) {
          pipeline.step(first);
        }
        TrajectorySnapshot snapshot = first.get(0).snapshot();
        first.get(0).close();
        assertThat(snapshot.step()).isEqualTo(steps / 3 * 3);
        CachingTest.assertSame(
            CachingTest.finish(pipeline, pipeline.restore(List.of(snapshot))).get(saved.id()),
            together.get(saved.id()));
      }
      try (DiffusionPipeline plain =
          Pipelines.open(FIXTURES.resolve("models").resolve(model), settings())) {
        GenerationRequest whole = all.get(0);
        CachingTest.assertSame(
            CachingTest.generate(plain, List.of(whole)).get(whole.id()), together.get(whole.id()));
      }
    }
  }

  @Test
  void aBranchBehindTheLastBlockIsRefusedByName() {
    assertThatThrownBy(() -> open("tiny-sd3", new Caching(1, 1, 0)))
        .isInstanceOf(WeightsException.class)
        .hasMessageContainingAll("num_layers", "diffusion.cache.branch is 1");
  }
}
