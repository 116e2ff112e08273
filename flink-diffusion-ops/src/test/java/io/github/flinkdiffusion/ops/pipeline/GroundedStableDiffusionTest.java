/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static io.github.flinkdiffusion.ops.pipeline.SmallRequests.alone;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What PipelineParityTest cannot see: requests with objects and without, in calls of their own and
 * shared.
 */
class GroundedStableDiffusionTest {
  private static final Path MODELS = Path.of("src/test/resources/fixtures/models");
  private static final Path FOLDER = MODELS.resolve("tiny-gligen");
  private static final String APPLE =
      "{\"phrase\": \"a red apple\", \"box\": [0.1, 0.1, 0.5, 0.6]}";
  private static final String BIRD = "{\"phrase\": \"a bird; asleep\", \"box\": [0.5, 0, 1, 0.75]}";

  /** A batch of another size rounds differently. */
  private static final double ROUNDING = 1e-4;

  private static DiffusionPipeline pipeline;

  @BeforeAll
  static void open() {
    pipeline = Pipelines.open(FOLDER, PipelineSettings.on(DeviceSpec.CPU));
  }

  @AfterAll
  static void close() {
    pipeline.close();
  }

  private static GenerationSpec spec(String id) {
    return GenerationSpec.of(id)
        .with(Parameters.PROMPT, "a table")
        .with(Parameters.SCHEDULER, "DDIMScheduler")
        .with(Parameters.STEPS, 4L)
        .with(Parameters.WIDTH, 32L)
        .with(Parameters.HEIGHT, 32L);
  }

  private static GenerationSpec seeing(String id, double share, String... objects) {
    return spec(id)
        .with(Parameters.GLIGEN_OBJECTS, "[" + String.join(", ", objects) + "]")
        .with(Parameters.GLIGEN_SCHEDULED_SAMPLING_BETA, share);
  }

  private static List<Trajectory> start(GenerationSpec... specs) {
    return pipeline.start(List.of(specs).stream().map(pipeline.model()::prepare).toList());
  }

  private static double difference(Raster a, Raster b) {
    double worst = 0;
    for (int i = 0; i < a.data().length; i++) {
      worst = Math.max(worst, Math.abs(a.data()[i] - b.data()[i]));
    }
    return worst;
  }

  @Test
  void requestsWithAndWithoutObjectsShareCallsAndChangeNothingForEachOther() {
    GenerationSpec[] specs = {
      spec("none"),
      seeing("one", 0.5, APPLE),
      seeing("two", 1, APPLE, BIRD),
      seeing("one, without guidance", 0.75, BIRD).with(Parameters.GUIDANCE_SCALE, 1.0)
    };
    // The first is a step ahead of the others.
    List<Trajectory> all = new ArrayList<>(start(specs[2]));
    Object key = all.get(0).batchKey();
    pipeline.step(all);
    all.addAll(start(specs[0], specs[1], specs[3]));
    assertThat(all).allMatch(each -> each.batchKey().equals(key));
    List<Trajectory> going = all;
    while (!going.isEmpty()) {
      pipeline.step(going);
      going = going.stream().filter(each -> !each.done()).toList();
    }
    List<GeneratedImage> images = pipeline.finish(all);
    int[] order = {2, 0, 1, 3};
    for (int i = 0; i < order.length; i++) {
      Raster expected = alone(pipeline, specs[order[i]]);
      assertThat(difference(images.get(i).image(), expected))
          .as(specs[order[i]].id())
          .isLessThan(ROUNDING);
    }
    // Each with the others' noise, so that what differs is what was said.
    Raster plain = alone(pipeline, spec("same").with(Parameters.SEED, 1L));
    assertThat(
            difference(plain, alone(pipeline, seeing("same", 1, APPLE).with(Parameters.SEED, 1L))))
        .isGreaterThan(0.05);
  }

  @Test
  void withoutObjectsTheSameNetworksMakeWhatStableDiffusionMakes() {
    try (DiffusionPipeline plain =
        Pipelines.openAs("StableDiffusionPipeline", FOLDER, PipelineSettings.on(DeviceSpec.CPU))) {
      Raster expected = alone(plain, spec("same"));
      assertThat(difference(alone(pipeline, spec("same")), expected)).isLessThan(ROUNDING);
      assertThat(difference(alone(pipeline, seeing("same", 0.2, APPLE)), expected))
          .isLessThan(ROUNDING);
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\'',
      value = {
        "[                                                    | is no JSON",
        "[] []                                                | is no JSON",
        "{}                                                   | is no JSON array",
        "[]                                                   | has 0 objects",
        "[7]                                                  | an object 0",
        "[{\"phrase\": \"a\"}]                                | an object 0",
        "[{\"phrase\": 7, \"box\": [0, 0, 1, 1]}]             | an object 0",
        "[{\"phrase\": \"a\", \"box\": [0, 0, 1]}]            | an object 0",
        "[{\"phrase\": \"a\", \"box\": [0, 0, 1, 1], \"z\": 1}] | an object 0",
        "[{\"phrase\": \"a\", \"box\": [0, 0, 1, 1.5]}]       | whose box is [0,0,1,1.5]",
        "[{\"phrase\": \"a\", \"box\": [0, 0, 1, \"1\"]}]     | whose box is",
        "[{\"phrase\": \"a\", \"box\": [0.5, 0, 0.5, 1]}]     | whose box is [0.5,0,0.5,1]",
        "[{\"phrase\": \"a\", \"box\": [0, 0.7, 1, 0.2]}]     | whose box is",
        "[{\"phrase\": \"a\", \"phrase\": \"b\", \"box\": [0, 0, 1, 1]}] | is no JSON"
      })
  void refusesWhatIsNoListOfObjectsByName(String text, String reason) {
    assertThatThrownBy(
            () -> pipeline.model().prepare(spec("bad").with(Parameters.GLIGEN_OBJECTS, text)))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageStartingWith("gligenObjects ")
        .hasMessageContaining(reason)
        .hasMessageContaining("1 to 30 objects");
  }

  @Test
  void refusesMoreObjectsAndLongerPhrasesThanTheNetworkTakes() {
    String[] many = new String[31];
    Arrays.fill(many, APPLE);
    assertThatThrownBy(() -> pipeline.model().prepare(seeing("many", 1, many)))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("has 31 objects");
    String longest = APPLE.replace("a red apple", "red ".repeat(200));
    assertThatThrownBy(() -> pipeline.model().prepare(seeing("long", 1, BIRD, longest)))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("an object 1 whose phrase has more tokens");
  }

  @Test
  void refusesAShareOfStepsThatIsAboutNothing() {
    assertThatThrownBy(
            () ->
                pipeline
                    .model()
                    .prepare(spec("none").with(Parameters.GLIGEN_SCHEDULED_SAMPLING_BETA, 0.5)))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("no gligenObjects");
  }

  @Test
  void refusesANetworkThatSeesNoObjects() {
    assertThatThrownBy(
            () ->
                Pipelines.openAs(
                    "StableDiffusionGLIGENPipeline",
                    MODELS.resolve("tiny-sd1"),
                    PipelineSettings.on(DeviceSpec.CPU)))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("attention_type");
  }
}
