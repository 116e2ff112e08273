/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.hotpath;

import io.github.flinkdiffusion.ops.noise.TorchGenerator;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;

/** Standard normal numbers, the very ones that torch draws. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class NoiseBenchmark {
  /** Values of a latent: 4 x 32 x 32 and 4 x 128 x 128. */
  @Param({"4096", "65536"})
  private int size;

  private long seed;

  /** A request's generator is seeded for it. */
  @Benchmark
  public float[] gaussian() {
    return new TorchGenerator(seed++).gaussian(size);
  }
}
