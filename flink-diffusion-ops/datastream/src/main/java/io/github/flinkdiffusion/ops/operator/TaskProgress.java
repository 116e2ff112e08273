/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.Basis;
import io.github.flinkdiffusion.ops.pipeline.Model;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import java.util.List;
import java.util.Map;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.regex.Pattern;

/**
 * How far an image task has come, part by part.
 *
 * @param basis what decided it besides the request
 * @param plan what {@link #plan(String, String)} makes of how the image was cut and what its parts
 *     ask; what earlier versions saved has the former alone
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

  private static final String AND = " | ";

  /**
   * @param cut how the image is cut into parts
   * @param asked what they have in common
   */
  static String plan(String cut, String asked) {
    return cut + AND + asked;
  }

  /**
   * Why it is worth nothing: with another model, another plan or other settings, parts would not
   * fit together.
   *
   * @return empty when the task may go on
   */
  List<String> differencesFrom(Model now, String planNow) {
    SortedSet<String> differences = new TreeSet<>(now.info().basis().differencesFrom(basis));
    running.values().forEach(part -> differences.addAll(now.differencesFrom(part)));
    String[] before = plan.split(Pattern.quote(AND), 2);
    String[] after = planNow.split(Pattern.quote(AND), 2);
    if (!before[0].equals(after[0])) {
      differences.add("plan (%s, now %s)".formatted(before[0], after[0]));
    } else if (before.length == 2 && !before[1].equals(after[1])) {
      differences.add("what each part asks (%s, now %s)".formatted(before[1], after[1]));
    }
    return List.copyOf(differences);
  }
}
