/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.image.Raster;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Requests of 16 x 16 pixels and what becomes of them: by themselves, restored after every step,
 * and in calls that they share with others.
 */
final class SmallRequests {
  private static final int SIDE = 16;

  /** A batch of another size rounds differently. */
  private static final double ROUNDING = 1e-4;

  private SmallRequests() {}

  /** A picture that no other seed has. */
  static Raster painted(int seed) {
    return painted(seed, SIDE, SIDE);
  }

  static Raster painted(int seed, int height, int width) {
    float[] values = new float[3 * height * width];
    for (int i = 0; i < values.length; i++) {
      values[i] = (i * (7 + seed) + seed) % 29 / 28f;
    }
    return new Raster(3, height, width, values);
  }

  static GenerationSpec spec(String id) {
    return GenerationSpec.of(id)
        .with(Parameters.PROMPT, "a table")
        .with(Parameters.STEPS, 4L)
        .with(Parameters.WIDTH, (long) SIDE)
        .with(Parameters.HEIGHT, (long) SIDE);
  }

  static Raster alone(DiffusionPipeline pipeline, GenerationSpec spec) {
    List<Trajectory> trajectory = pipeline.start(List.of(pipeline.model().prepare(spec)));
    while (!trajectory.get(0).done()) {
      pipeline.step(trajectory);
    }
    return pipeline.finish(trajectory).get(0).image();
  }

  /** Restored after every step. */
  static Raster restored(DiffusionPipeline pipeline, GenerationSpec spec) {
    List<Trajectory> trajectory = pipeline.start(List.of(pipeline.model().prepare(spec)));
    while (!trajectory.get(0).done()) {
      trajectory = pipeline.restore(List.of(trajectory.get(0).snapshot()));
      pipeline.step(trajectory);
    }
    return pipeline.finish(trajectory).get(0).image();
  }

  /**
   * Requires that requests share calls, make the images that they make alone, and that each says
   * something that is seen.
   *
   * @param specs begun one step after the other; one is {@code spec("none")}
   */
  static void requireSharedCalls(DiffusionPipeline pipeline, List<GenerationSpec> specs) {
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

  /** Requires that requests are refused, each by a message that begins so. */
  static void requireRefused(DiffusionPipeline pipeline, Map<GenerationSpec, String> refused) {
    refused.forEach(
        (spec, message) ->
            assertThatThrownBy(() -> pipeline.model().prepare(spec))
                .isInstanceOf(InvalidRequestException.class)
                .hasMessageStartingWith(message));
  }

  private static void step(DiffusionPipeline pipeline, Map<String, Trajectory> all) {
    List<Trajectory> going = all.values().stream().filter(each -> !each.done()).toList();
    if (!going.isEmpty()) {
      pipeline.step(going);
    }
  }
}
