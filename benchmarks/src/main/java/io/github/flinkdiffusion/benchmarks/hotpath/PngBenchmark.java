/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.hotpath;

import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.noise.TorchGenerator;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/** A picture's file. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
public class PngBenchmark {
  private static final float GRAIN = 0.02f;

  @Param({"512"})
  private int side;

  private Raster picture;
  private byte[] file;

  /**
   * Slow waves with some grain: between an empty picture, which is quick, and noise, which is slow.
   */
  @Setup
  public void prepare() {
    float[] grain = new TorchGenerator(1).gaussian(3 * side * side);
    float[] data = new float[grain.length];
    for (int i = 0; i < data.length; i++) {
      double wave = Math.sin(i % side / 40.0) * Math.cos(i / side / 30.0);
      data[i] = (float) Math.min(1, Math.max(0, 0.5 + 0.4 * wave + GRAIN * grain[i]));
    }
    picture = new Raster(3, side, side, data);
    file = PngCodec.encode(picture);
  }

  @Benchmark
  public byte[] encode() {
    return PngCodec.encode(picture);
  }

  @Benchmark
  public Raster decode() {
    return PngCodec.decode(file);
  }
}
