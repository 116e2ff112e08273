/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.quality.Fidelity;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Steps that reuse features of earlier ones, and guidance in a part of the steps. */
class CachingTest {
  private static final Path TINY = Path.of("src/test/resources/fixtures/models/tiny-sd1");
  private static final Path EMOJI = Path.of("../examples/models/mini-emoji");
  private static final float SAME = 1e-4f;
  private static final long STEPS = 7;

  private static DiffusionPipeline pipeline;

  @BeforeAll
  static void open() {
    pipeline = open(1L << 30);
  }

  @AfterAll
  static void close() {
    pipeline.close();
  }

  private static PipelineSettings settings(int branch, long memory) {
    String engine = System.getProperty("flinkdiffusion.engine", Engines.AUTO);
    return PipelineSettings.on(DeviceSpec.CPU)
        .withEngine(engine)
        .withCaching(new Caching(3, branch, memory));
  }

  private static DiffusionPipeline open(long memory) {
    return Pipelines.open(TINY, settings(0, memory));
  }

  private static GenerationRequest request(int number, long interval) {
    return pipeline.model().prepare(spec(number).with(Parameters.CACHE_INTERVAL, interval));
  }

  private static GenerationSpec spec(int number) {
    return GenerationSpec.of("request-" + number)
        .with(Parameters.PROMPT, "a large red apple on a blue background")
        .with(Parameters.SCHEDULER, "DDIMScheduler")
        .with(Parameters.STEPS, STEPS)
        .with(Parameters.GUIDANCE_SCALE, number % 3 == 0 ? 1.0 : 2.0);
  }

  /** Steps them with whoever has the same key, as the batcher does, until they are done. */
  static Map<String, Raster> finish(DiffusionPipeline pipeline, List<Trajectory> trajectories) {
    while (trajectories.stream().anyMatch(each -> !each.done())) {
      step(pipeline, trajectories);
    }
    Map<String, Raster> images = new LinkedHashMap<>();
    pipeline.finish(trajectories).forEach(each -> images.put(each.request().id(), each.image()));
    return images;
  }

  private static void step(DiffusionPipeline pipeline, List<Trajectory> trajectories) {
    trajectories.stream()
        .filter(each -> !each.done())
        .collect(Collectors.groupingBy(Trajectory::batchKey))
        .values()
        .forEach(pipeline::step);
  }

  /** The images of requests that begin together. */
  static Map<String, Raster> generate(
      DiffusionPipeline pipeline, List<GenerationRequest> requests) {
    return finish(pipeline, pipeline.start(requests));
  }

  private static Map<String, Raster> generate(List<GenerationRequest> requests) {
    return generate(pipeline, requests);
  }

  private static Raster alone(GenerationRequest request) {
    return generate(List.of(request)).get(request.id());
  }

  static void assertSame(Raster image, Raster expected) {
    assertThat(image.data()).hasSameSizeAs(expected.data());
    for (int i = 0; i < image.data().length; i++) {
      assertThat(image.data()[i]).isCloseTo(expected.data()[i], offset(SAME));
    }
  }

  private static int nativeTensors() {
    return Engines.standard().named(Engines.ONNX_RUNTIME).nativeTensors()
        + Engines.standard().named(Engines.PYTORCH).nativeTensors();
  }

  @Test
  void anImageIsTheSameAloneInThreeAndInEight() {
    List<GenerationRequest> eight = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      eight.add(request(i, 1 + i % 4));
    }
    Map<String, Raster> together = generate(eight);
    Map<String, Raster> three = generate(eight.subList(1, 4));
    for (GenerationRequest request : eight.subList(1, 4)) {
      Raster alone = alone(request);
      assertSame(together.get(request.id()), alone);
      assertSame(three.get(request.id()), alone);
    }
  }

  @Test
  void reuseChangesTheImageLittleAndLessWithADeeperBranch() {
    double outermost = psnrOfReuse(0);
    assertThat(outermost).isBetween(30.0, 60.0);
    assertThat(psnrOfReuse(3)).isGreaterThan(outermost);
  }

  private static double psnrOfReuse(int branch) {
    try (DiffusionPipeline emoji = Pipelines.open(EMOJI, settings(branch, 1L << 30))) {
      List<Raster> images = new ArrayList<>();
      for (long interval = 1; interval <= 2; interval++) {
        GenerationRequest request =
            emoji.model().prepare(spec(1).with(Parameters.CACHE_INTERVAL, interval));
        images.add(finish(emoji, emoji.start(List.of(request))).get(request.id()));
      }
      return Fidelity.psnr(images.get(1), images.get(0));
    }
  }

  @Test
  void wholeStepsAreThoseOfAModelWithoutReuse() {
    try (DiffusionPipeline plain =
        Pipelines.open(
            TINY,
            PipelineSettings.on(DeviceSpec.CPU)
                .withEngine(System.getProperty("flinkdiffusion.engine", Engines.AUTO)))) {
      GenerationRequest request = plain.model().prepare(spec(1));
      assertSame(
          alone(request(1, 1)), finish(plain, plain.start(List.of(request))).get(request.id()));
      assertThatThrownBy(() -> plain.model().prepare(spec(1).with(Parameters.CACHE_INTERVAL, 2L)))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContaining("cacheInterval");
    }
  }

  @Test
  void aSavedTrajectoryGoesOnFromItsLastWholeStepToTheSameImage() {
    GenerationRequest request = request(2, 3);
    Raster undisturbed = alone(request);
    List<Integer> saved = new ArrayList<>();
    for (int steps = 0; steps <= STEPS; steps++) {
      List<Trajectory> first = pipeline.start(List.of(request));
      for (int i = 0; i < steps; i++) {
        pipeline.step(first);
      }
      TrajectorySnapshot snapshot = first.get(0).snapshot();
      first.get(0).close();
      saved.add(snapshot.step());
      assertSame(
          finish(pipeline, pipeline.restore(List.of(snapshot))).get(request.id()), undisturbed);
    }
    // Whole steps are 0, 3 and 6; the last one leaves features to none.
    assertThat(saved).containsExactly(0, 0, 0, 3, 3, 3, 6, 7);
  }

  @Test
  void featuresWithoutRoomAreMadeAgain() {
    GenerationRequest request = request(1, 3);
    Raster expected = alone(request);
    try (DiffusionPipeline small = open(0)) {
      List<Trajectory> trajectories = small.start(List.of(request, request(2, 2)));
      assertSame(finish(small, trajectories).get(request.id()), expected);
    }
  }

  @Test
  void featuresAreFreedWhenTheyAreUsedAndWhenARequestIsDropped() {
    int before = nativeTensors();
    List<Trajectory> trajectories = pipeline.start(List.of(request(1, 3), request(2, 3)));
    pipeline.step(trajectories);
    assertThat(nativeTensors()).isEqualTo(before + 4);
    trajectories.get(0).close();
    trajectories.get(0).close();
    assertThat(nativeTensors()).isEqualTo(before + 2);
    finish(pipeline, List.of(trajectories.get(1)));
    assertThat(nativeTensors()).isEqualTo(before);
  }

  @Test
  void guidanceInAPartOfTheStepsTakesHalfTheRowsOutside() {
    GenerationRequest request =
        pipeline
            .model()
            .prepare(
                spec(1)
                    .with(Parameters.GUIDANCE_INTERVAL, new Numbers(0.3, 0.75))
                    .with(Parameters.CACHE_INTERVAL, 2L));
    List<Trajectory> trajectories = pipeline.start(List.of(request));
    List<Integer> rows = new ArrayList<>();
    while (!trajectories.get(0).done()) {
      rows.add(trajectories.get(0).rows());
      pipeline.step(trajectories);
    }
    assertThat(rows).containsExactly(1, 1, 2, 2, 2, 1, 1);
    assertSame(
        alone(
            pipeline
                .model()
                .prepare(spec(1).with(Parameters.GUIDANCE_INTERVAL, new Numbers(0, 1)))),
        alone(pipeline.model().prepare(spec(1))));
  }

  @Test
  void theBasisNamesTheBranch() {
    assertThat(pipeline.model().info().basis().values()).containsEntry(Basis.CACHING, "branch 0");
    assertThat(Caching.branch("branch 0")).contains(0);
    assertThat(Caching.branch("something else")).isEmpty();
  }

  @Test
  void aModelThatCannotIsRefusedByName() {
    assertThatThrownBy(() -> Pipelines.open(TINY, settings(8, 0)))
        .isInstanceOf(WeightsException.class)
        .hasMessageContainingAll("layers_per_block", "diffusion.cache.branch is 8");
    assertThatThrownBy(
            () ->
                Pipelines.open(
                    Path.of("../examples/models/mini-brain-mask"), settings(0, 1L << 30)))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("diffusion.cache.interval");
  }
}
