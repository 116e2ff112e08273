/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Op;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where a UNet's blocks end: at the convolutions that change the size. They are found by their
 * names, so networks know nothing of it.
 */
final class BlockOutputs {
  private static final Pattern END =
      Pattern.compile(
          ".*?((down_blocks\\.\\d+\\.downsamplers|up_blocks\\.\\d+\\.upsamplers)\\.0\\.conv)");

  private BlockOutputs() {}

  /**
   * Ends of the same blocks of two networks that have as many channels.
   *
   * @throws IllegalArgumentException if there is none
   */
  static Map<Value, Value> pairs(Graph graph, Value student, Value teacher) {
    Map<String, Value> ours = ends(student);
    Map<String, Value> theirs = ends(teacher);
    Map<Value, Value> pairs = new LinkedHashMap<>();
    ours.forEach(
        (path, value) -> {
          Value other = theirs.get(path);
          if (other != null && channels(graph, value) == channels(graph, other)) {
            pairs.put(value, other);
          }
        });
    if (pairs.isEmpty()) {
      throw new IllegalArgumentException(
          "The student's blocks %s and the teacher's %s have no width in common: set the weight of blocks to 0."
              .formatted(ours.keySet(), theirs.keySet()));
    }
    return pairs;
  }

  private static long channels(Graph graph, Value convolution) {
    String weight = LayerInputs.parameter(convolution.inputs().get(1)).orElseThrow();
    return graph.parameterShapes().get(weight)[0];
  }

  private static Map<String, Value> ends(Value result) {
    Map<String, Value> ends = new TreeMap<>();
    Set<Value> seen = new HashSet<>();
    Deque<Value> pending = new ArrayDeque<>();
    pending.push(result);
    while (!pending.isEmpty()) {
      Value value = pending.pop();
      if (!seen.add(value)) {
        continue;
      }
      if (value.op() == Op.CONV2D) {
        LayerInputs.path(value, path -> true)
            .map(END::matcher)
            .filter(Matcher::matches)
            .ifPresent(found -> ends.put(found.group(1), value));
      }
      value.inputs().stream().filter(Objects::nonNull).forEach(pending::push);
    }
    return ends;
  }
}
