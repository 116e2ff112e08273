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
import java.util.OptionalDouble;
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

    String model() {
      return json.get("model").asText();
    }

    /** Of diffusers' hook; empty where nothing exceeds it. */
    OptionalDouble threshold() {
      return json.has("threshold")
          ? OptionalDouble.of(json.get("threshold").asDouble())
          : OptionalDouble.empty();
    }

    boolean isBySeries() {
      return json.has("taylor");
    }

    GenerationSpec bySeries() {
      JsonNode taylor = json.get("taylor");
      return spec()
          .with(Parameters.CACHE_INTERVAL, taylor.get("cache_interval").asLong())
          .with(Parameters.TAYLOR_START, taylor.get("disable_cache_before_step").asLong())
          .with(Parameters.TAYLOR_ORDER, taylor.get("max_order").asLong());
    }

    List<Integer> whole() {
      return StreamSupport.stream(json.get("whole").spliterator(), false)
          .map(JsonNode::asInt)
          .toList();
    }

    @Override
    public String toString() {
      return json.get("name").asText();
    }
  }

  private static Stream<Run> all() throws IOException {
    JsonNode cases = new ObjectMapper().readTree(RUNS.resolve("cases.json").toFile());
    return StreamSupport.stream(cases.spliterator(), false).map(Run::new);
  }

  static Stream<Run> runs() throws IOException {
    return all().filter(run -> run.threshold().isEmpty() && !run.isBySeries());
  }

  static Stream<Run> runsBySeries() throws IOException {
    return all().filter(Run::isBySeries);
  }

  static Stream<Run> runsByThreshold() throws IOException {
    return all().filter(run -> run.threshold().isPresent());
  }

  private static float[] expected(Run run) {
    try (TensorStore pictures = Safetensors.open(RUNS.resolve("pictures.safetensors"))) {
      return pictures.floats(run.toString());
    }
  }

  /**
   * @param whole the same request, of which each step computes the whole network
   */
  private static void requireReference(
      DiffusionPipeline pipeline, GenerationSpec reusing, GenerationSpec whole, Run run) {
    float[] expected = expected(run);
    GenerationRequest request = pipeline.model().prepare(reusing);
    assertThat(CachingTest.generate(pipeline, List.of(request)).get("one").data())
        .containsExactly(expected, REFERENCE);
    requireOther(pipeline, whole, expected);
  }

  private static void requireOther(
      DiffusionPipeline pipeline, GenerationSpec spec, float[] expected) {
    GenerationRequest request = pipeline.model().prepare(spec);
    assertThat(distance(CachingTest.generate(pipeline, List.of(request)).get("one"), expected))
        .isGreaterThan(2 * REFERENCE.value);
  }

  @ParameterizedTest
  @MethodSource("runs")
  void anImageIsTheReferencesWhenOneStepIsWhole(Run run) {
    try (DiffusionPipeline pipeline =
        open(run.model(), new Caching(Caching.LONGEST_INTERVAL, 0, 1L << 30))) {
      requireReference(pipeline, run.spec(), run.spec().with(Parameters.CACHE_INTERVAL, 1L), run);
    }
  }

  @ParameterizedTest
  @MethodSource("runsByThreshold")
  void anImageIsTheReferencesWhenAThresholdDecides(Run run) {
    float[] expected = expected(run);
    try (DiffusionPipeline pipeline = open(run.model(), byThreshold(0))) {
      GenerationRequest request =
          pipeline
              .model()
              .prepare(run.spec().with(Parameters.CACHE_THRESHOLD, run.threshold().getAsDouble()));
      List<Trajectory> trajectories = pipeline.start(List.of(request));
      List<Integer> whole = new ArrayList<>();
      while (!trajectories.get(0).done()) {
        int step = trajectories.get(0).step();
        pipeline.step(trajectories);
        if (trajectories.get(0).snapshot().step() == step) {
          // Goes on from this step: it has left features.
          whole.add(step);
        }
      }
      List<Integer> leaving = new ArrayList<>(run.whole());
      leaving.remove((Integer) (request.steps() - 1));
      assertThat(whole).isEqualTo(leaving);
      assertThat(CachingTest.finish(pipeline, trajectories).get("one").data())
          .containsExactly(expected, REFERENCE);
      requireOther(pipeline, run.spec().with(Parameters.CACHE_INTERVAL, 1L), expected);
    }
  }

  @ParameterizedTest
  @MethodSource("runsBySeries")
  void anImageIsTheReferencesWhenStepsContinueASeries(Run run) {
    try (DiffusionPipeline pipeline = open(run.model(), new Caching(1, 0, 1L << 30))) {
      requireReference(pipeline, run.bySeries(), run.spec(), run);
    }
  }

  private static Caching byThreshold(double threshold) {
    return new Caching(Caching.LONGEST_INTERVAL, 0, 1L << 30, threshold);
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

  private static GenerationSpec spec(int number, long steps) {
    return GenerationSpec.of("request-" + number)
        .with(Parameters.PROMPT, "a red apple on a wooden table " + number)
        .with(Parameters.STEPS, steps)
        .with(Parameters.WIDTH, 48L)
        .with(Parameters.HEIGHT, 32L);
  }

  private static TrajectorySnapshot saved(
      DiffusionPipeline pipeline, GenerationRequest request, int steps) {
    List<Trajectory> one = pipeline.start(List.of(request));
    for (int i = 0; i < steps; i++) {
      pipeline.step(one);
    }
    TrajectorySnapshot snapshot = one.get(0).snapshot();
    one.get(0).close();
    return snapshot;
  }

  private static void requireRestored(
      DiffusionPipeline pipeline, TrajectorySnapshot snapshot, Map<String, Raster> expected) {
    String id = snapshot.request().id();
    CachingTest.assertSame(
        CachingTest.finish(pipeline, pipeline.restore(List.of(snapshot))).get(id),
        expected.get(id));
  }

  /** The first three alone, with each other, and with all. */
  private static Map<String, Raster> requireSameInAnyCompany(
      DiffusionPipeline pipeline, List<GenerationRequest> all) {
    Map<String, Raster> together = CachingTest.generate(pipeline, all);
    Map<String, Raster> three = CachingTest.generate(pipeline, all.subList(0, 3));
    for (GenerationRequest each : all.subList(0, 3)) {
      Raster alone = CachingTest.generate(pipeline, List.of(each)).get(each.id());
      CachingTest.assertSame(alone, together.get(each.id()));
      CachingTest.assertSame(alone, three.get(each.id()));
    }
    return together;
  }

  private static GenerationRequest request(DiffusionPipeline pipeline, int number, long interval) {
    GenerationSpec spec = spec(number, 5L).with(Parameters.CACHE_INTERVAL, interval);
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
        TrajectorySnapshot snapshot = saved(pipeline, saved, steps);
        assertThat(snapshot.step()).isEqualTo(steps / 3 * 3);
        requireRestored(pipeline, snapshot, together);
      }
      try (DiffusionPipeline plain =
          Pipelines.open(FIXTURES.resolve("models").resolve(model), settings())) {
        GenerationRequest whole = all.get(0);
        CachingTest.assertSame(
            CachingTest.generate(plain, List.of(whole)).get(whole.id()), together.get(whole.id()));
      }
    }
  }

  private static GenerationRequest decidingRequest(DiffusionPipeline pipeline, int number) {
    GenerationSpec spec =
        spec(number, 6L + number % 2)
            .with(Parameters.CACHE_INTERVAL, number == 3 ? 2L : Caching.LONGEST_INTERVAL)
            // Those of 0 share calls with the others, too.
            .with(Parameters.CACHE_THRESHOLD, List.of(0.3, 0.55, 0.7, 0.0).get(number % 4));
    return pipeline.model().prepare(spec);
  }

  private static void requireSameByThreshold(String model) {
    try (DiffusionPipeline pipeline = open(model, byThreshold(0))) {
      List<GenerationRequest> eight = new ArrayList<>();
      for (int i = 0; i < 8; i++) {
        eight.add(decidingRequest(pipeline, i));
      }
      Map<String, Raster> together = requireSameInAnyCompany(pipeline, eight);
      GenerationRequest saved = eight.get(1);
      for (int steps = 1; steps <= saved.steps(); steps++) {
        requireRestored(pipeline, saved(pipeline, saved, steps), together);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"tiny-flux-dev", "tiny-pixart-sigma"})
  void anImageByThresholdIsTheSameAloneInThreeInEightAndRestored(String model) {
    requireSameByThreshold(model);
  }

  @Tag("nightly")
  @ParameterizedTest
  @ValueSource(
      strings = {
        "tiny-sd3-medium",
        "tiny-z-image",
        "tiny-qwen-image",
        "tiny-sana",
        "tiny-lumina-2"
      })
  void soIsOneByThresholdOfTheOtherFamilies(String model) {
    requireSameByThreshold(model);
  }

  @Test
  void featuresWithoutRoomAreMadeAgainBeforeAThresholdDecides() {
    try (DiffusionPipeline large = open("tiny-flux-dev", byThreshold(0));
        DiffusionPipeline small =
            open("tiny-flux-dev", new Caching(Caching.LONGEST_INTERVAL, 0, 0, 0.0))) {
      GenerationRequest request = decidingRequest(large, 1);
      CachingTest.assertSame(
          CachingTest.generate(small, List.of(request)).get(request.id()),
          CachingTest.generate(large, List.of(request)).get(request.id()));
    }
  }

  private static GenerationRequest continuedRequest(DiffusionPipeline pipeline, int number) {
    GenerationSpec spec =
        spec(number, 7L + number % 2)
            .with(Parameters.CACHE_INTERVAL, 2L + number % 3)
            .with(Parameters.TAYLOR_START, 1L + number % 2)
            .with(Parameters.TAYLOR_ORDER, (long) number % 3);
    return pipeline.model().prepare(spec);
  }

  private static void requireSameBySeries(String model) {
    try (DiffusionPipeline pipeline = open(model, new Caching(1, 0, 1L << 30))) {
      List<GenerationRequest> eight = new ArrayList<>();
      for (int i = 0; i < 8; i++) {
        eight.add(continuedRequest(pipeline, i));
      }
      if (model.equals("tiny-sd3-medium")) {
        // Its third row comes and goes: the series begins anew each time.
        eight.set(
            1,
            pipeline
                .model()
                .prepare(
                    new GenerationSpec("request-1", eight.get(1).arguments())
                        .with(Parameters.SKIP_GUIDANCE_LAYERS, new Numbers(0))
                        .with(Parameters.SKIP_LAYER_GUIDANCE_START, 0.3)
                        .with(Parameters.SKIP_LAYER_GUIDANCE_STOP, 0.7)));
      }
      Map<String, Raster> together = requireSameInAnyCompany(pipeline, eight);
      for (GenerationRequest saved : eight.subList(1, 3)) {
        for (int steps = 1; steps <= saved.steps(); steps++) {
          TrajectorySnapshot snapshot = saved(pipeline, saved, steps);
          // No step is made again: the series is in the snapshot.
          assertThat(snapshot.step()).isEqualTo(steps);
          requireRestored(pipeline, snapshot, together);
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"tiny-flux-dev", "tiny-sd3-medium"})
  void anImageBySeriesIsTheSameAloneInThreeInEightAndRestored(String model) {
    requireSameBySeries(model);
  }

  @Tag("nightly")
  @ParameterizedTest
  @ValueSource(
      strings = {
        "tiny-pixart-sigma",
        "tiny-z-image",
        "tiny-qwen-image",
        "tiny-sana",
        "tiny-lumina-2"
      })
  void soIsOneBySeriesOfTheOtherFamilies(String model) {
    requireSameBySeries(model);
  }

  @Test
  void aSnapshotWhoseSeriesIsCutBeginsAnew() {
    try (DiffusionPipeline pipeline = open("tiny-flux-dev", new Caching(1, 0, 1L << 30))) {
      List<Trajectory> one = pipeline.start(List.of(continuedRequest(pipeline, 1)));
      pipeline.step(one);
      TrajectorySnapshot whole = one.get(0).snapshot();
      float[][] history = whole.history();
      assertThat(history.length).isEqualTo(1);
      for (float[][] other :
          List.of(
              new float[][] {},
              new float[][] {null},
              new float[][] {history[0], history[0]},
              new float[][] {history[0], new float[1]})) {
        TrajectorySnapshot cut =
            new TrajectorySnapshot(
                whole.request(),
                whole.basis(),
                whole.step(),
                whole.sample(),
                other,
                whole.generator());
        assertThat(pipeline.restore(List.of(cut)).get(0).step()).isZero();
      }
    }
  }

  @Test
  void aSeriesAndAThresholdExcludeEachOther() {
    try (DiffusionPipeline pipeline = open("tiny-flux-dev", byThreshold(0.1))) {
      GenerationSpec spec =
          GenerationSpec.of("one")
              .with(Parameters.PROMPT, "a cube")
              .with(Parameters.TAYLOR_ORDER, 1L);
      GenerationRequest continued = pipeline.model().prepare(spec);
      assertThat(continued.get(Parameters.CACHE_THRESHOLD)).isNull();
      assertThat(continued.get(Parameters.TAYLOR_START)).isEqualTo(3L);
      assertThatThrownBy(() -> pipeline.model().prepare(spec.with(Parameters.CACHE_THRESHOLD, 0.2)))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContainingAll("taylorOrder", "cacheThreshold of 0.2");
      assertThatThrownBy(
              () ->
                  pipeline
                      .model()
                      .prepare(
                          GenerationSpec.of("two")
                              .with(Parameters.PROMPT, "a cube")
                              .with(Parameters.TAYLOR_START, 2L)))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContainingAll("taylorStart", "taylorOrder");
    }
  }

  @Test
  void aThresholdNeedsATransformerAndAJobThatAllowsIt() {
    assertThatThrownBy(() -> open("tiny-sd1", byThreshold(0)))
        .isInstanceOf(WeightsException.class)
        .hasMessageContainingAll("unet", "diffusion.cache.threshold");
    try (DiffusionPipeline pipeline = open("tiny-flux-dev", new Caching(2, 0, 1L << 30))) {
      assertThatThrownBy(
              () ->
                  pipeline
                      .model()
                      .prepare(
                          GenerationSpec.of("one")
                              .with(Parameters.PROMPT, "a cube")
                              .with(Parameters.CACHE_THRESHOLD, 0.1)))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContaining("cacheThreshold");
    }
  }

  @Test
  void aBranchBehindTheLastBlockIsRefusedByName() {
    assertThatThrownBy(() -> open("tiny-sd3", new Caching(1, 1, 0)))
        .isInstanceOf(WeightsException.class)
        .hasMessageContainingAll("num_layers", "diffusion.cache.branch is 1");
  }
}
