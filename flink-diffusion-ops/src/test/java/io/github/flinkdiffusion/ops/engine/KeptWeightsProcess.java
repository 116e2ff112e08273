/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.zip.CRC32;

/**
 * Uses a folder of kept weights as a process of its own: says that it is ready, waits for a line,
 * then either gets all files and prints each one's checksum, or is killed half-way through the
 * first.
 */
final class KeptWeightsProcess {
  /** Files that each process gets, from weights that differ. */
  static final int FILES = 12;

  /** Elements of each of a network's two layers: large enough that writing takes a while. */
  private static final int SIDE = 256;

  private KeptWeightsProcess() {}

  public static void main(String[] arguments) throws IOException {
    Path folder = Path.of(arguments[0]);
    boolean killed = arguments[1].equals("killed");
    System.out.println("ready");
    System.in.read();
    for (int i = 0; i < FILES; i++) {
      System.out.println(killed ? getAndDie(folder, i) : get(folder, i));
    }
  }

  static long get(Path folder, int which) {
    TensorStore weights = weights(which);
    return get(folder, weights, source(weights));
  }

  private static long getAndDie(Path folder, int which) {
    TensorStore weights = weights(which);
    return get(
        folder,
        weights,
        (name, shape, out) -> {
          if (name.equals("second.weight")) {
            Runtime.getRuntime().halt(3);
          }
          source(weights).write(name, shape, out);
        });
  }

  private static long get(Path folder, TensorStore weights, ParameterSource source) {
    Program program =
        new Program(
            "net", graph(), Precision.FLOAT32, source, weights::digest, Optional.of(folder));
    try (PlacedWeights placed = PlacedWeights.of(program)) {
      return checksum(placed.place("first.weight").file());
    }
  }

  private static Graph graph() {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value x = forward.input("x", 2);
    Value hidden = forward.linear(x, graph.parameter("first.weight", SIDE, SIDE), null);
    forward.returns(forward.linear(hidden, graph.parameter("second.weight", SIDE, SIDE), null));
    return graph;
  }

  private static TensorStore weights(int which) {
    float[] first = new float[SIDE * SIDE];
    Arrays.fill(first, which);
    return HeapTensors.builder()
        .add("first.weight", first, SIDE, SIDE)
        .add("second.weight", new float[SIDE * SIDE], SIDE, SIDE)
        .build();
  }

  private static ParameterSource source(TensorStore weights) {
    return (name, shape, out) -> weights.writeTo(name, DType.F32, out);
  }

  static long checksum(Path file) {
    try {
      CRC32 crc = new CRC32();
      crc.update(Files.readAllBytes(file));
      return crc.getValue();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
