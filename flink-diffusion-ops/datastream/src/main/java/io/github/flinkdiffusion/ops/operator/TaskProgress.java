/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.Basis;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * How far an image task has come, part by part.
 *
 * @param basis what decided it besides the request
 * @param plan fingerprint of the plan that the parts are of
 * @param running parts that go on at a step
 * @param samples finished parts of tiles that are not finished
 * @param tiles results of finished tiles, see {@link TileResults}
 */
record TaskProgress(
    Basis basis,
    String plan,
    Map<Integer, TrajectorySnapshot> running,
    Map<Integer, Raster> samples,
    Map<Integer, Payload> tiles) {
  /** Nothing done yet. */
  static final TaskProgress NONE =
      new TaskProgress(Basis.ofDigest(""), "", Map.of(), Map.of(), Map.of());

  TaskProgress {
    running = Map.copyOf(running);
    samples = Map.copyOf(samples);
    tiles = Map.copyOf(tiles);
  }

  boolean isNone() {
    return running.isEmpty() && samples.isEmpty() && tiles.isEmpty();
  }

  /**
   * Why it is worth nothing: with another model or another plan, parts would not fit together.
   *
   * @return empty when the task may go on
   */
  List<String> differencesFrom(Basis now, String planNow) {
    List<String> differences = new ArrayList<>(now.differencesFrom(basis));
    if (!plan.equals(planNow)) {
      differences.add("plan (%s, now %s)".formatted(plan, planNow));
    }
    return differences;
  }
}
