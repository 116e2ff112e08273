package io.github.flinkdiffusion.ops.torch;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.torchscript.ArchiveWriter;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.zip.CRC32;

/**
 * Uses an archive cache as a process of its own: says that it is ready, waits for a line, then
 * either gets all archives and prints each one's checksum, or is killed half-way through the first.
 */
final class ArchiveCacheProcess {
  /** Archives that each process gets, from weights that differ. */
  static final int ARCHIVES = 12;

  /** Elements of each of a network's two layers: large enough that writing takes a while. */
  private static final int SIDE = 256;

  private ArchiveCacheProcess() {}

  public static void main(String[] arguments) throws IOException {
    ArchiveCache cache = ArchiveCache.in(Path.of(arguments[0]));
    boolean killed = arguments[1].equals("killed");
    System.out.println("ready");
    System.in.read();
    for (int i = 0; i < ARCHIVES; i++) {
      System.out.println(killed ? getAndDie(cache, i) : get(cache, i));
    }
  }

  static long get(ArchiveCache cache, int which) {
    TensorStore weights = weights(which);
    return cache.with(
        "net", writer(), weights::digest, source(weights), ArchiveCacheProcess::checksum);
  }

  private static long getAndDie(ArchiveCache cache, int which) {
    TensorStore weights = weights(which);
    ParameterSource dying =
        (name, shape, out) -> {
          if (name.equals("second.weight")) {
            Runtime.getRuntime().halt(3);
          }
          source(weights).write(name, shape, out);
        };
    return cache.with("net", writer(), weights::digest, dying, ArchiveCacheProcess::checksum);
  }

  static ArchiveWriter writer() {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value x = forward.input("x", 2);
    Value hidden = forward.linear(x, graph.parameter("first.weight", SIDE, SIDE), null);
    forward.returns(forward.linear(hidden, graph.parameter("second.weight", SIDE, SIDE), null));
    return new ArchiveWriter(graph, Precision.FLOAT32);
  }

  static TensorStore weights(int which) {
    float[] first = new float[SIDE * SIDE];
    Arrays.fill(first, which);
    return HeapTensors.builder()
        .add("first.weight", first, SIDE, SIDE)
        .add("second.weight", new float[SIDE * SIDE], SIDE, SIDE)
        .build();
  }

  static ParameterSource source(TensorStore weights) {
    return (name, shape, out) -> weights.writeTo(name, DType.F32, out);
  }

  static long checksum(Path archive) {
    try {
      CRC32 crc = new CRC32();
      crc.update(Files.readAllBytes(archive));
      return crc.getValue();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
