/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.hotpath;

import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** Weights on their way from a file into an archive: 64 tensors of 256 KiB in float32. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
public class SafetensorsBenchmark {
  private static final int TENSORS = 64;
  private static final int SIDE = 256;

  /** The archive's type. */
  @Param({"F32", "F16"})
  private DType dtype;

  private Path file;

  @Setup
  public void prepare() throws IOException {
    float[] values = new float[SIDE * SIDE];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) Math.sin(i);
    }
    HeapTensors.Builder tensors = HeapTensors.builder();
    for (int i = 0; i < TENSORS; i++) {
      tensors.add("blocks." + i + ".weight", values, SIDE, SIDE);
    }
    file = Files.createTempFile("benchmark", ".safetensors");
    SafetensorsWriter.write(file, tensors.build());
  }

  @TearDown
  public void delete() throws IOException {
    Files.delete(file);
  }

  /** Opened, and each tensor checked for numbers that are not finite, converted and written. */
  @Benchmark
  public void read() throws IOException {
    try (TensorStore store = Safetensors.open(file)) {
      for (String name : store.names()) {
        store.writeFiniteTo(name, dtype, OutputStream.nullOutputStream());
      }
    }
  }

  /** The header alone. */
  @Benchmark
  public int open() {
    try (TensorStore store = Safetensors.open(file)) {
      return store.names().size();
    }
  }
}
