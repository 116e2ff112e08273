/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.hotpath;

import io.github.flinkdiffusion.benchmarks.RunOptions;
import io.github.flinkdiffusion.ops.tokenizer.ClipTokenizer;
import io.github.flinkdiffusion.ops.tokenizer.Tokens;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/** A prompt's tokens, with the vocabulary of the mini model that comes with the project. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class TokenizerBenchmark {
  @Param({
    "a red circle above a blue square",
    "a photograph of an astronaut riding a horse through a field of sunflowers at dusk, highly"
        + " detailed, sharp focus, studio lighting, by a painter whose name nobody remembers"
  })
  private String prompt;

  private ClipTokenizer tokenizer;

  @Setup
  public void prepare() {
    tokenizer =
        ClipTokenizer.load(RunOptions.home().resolve("examples/models/mini-emoji/tokenizer"));
  }

  @Benchmark
  public Tokens encode() {
    return tokenizer.encode(prompt);
  }
}
