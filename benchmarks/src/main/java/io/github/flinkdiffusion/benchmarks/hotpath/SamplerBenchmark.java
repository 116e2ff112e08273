/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.hotpath;

import io.github.flinkdiffusion.ops.noise.TorchGenerator;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import io.github.flinkdiffusion.ops.scheduler.SchedulerConfig;
import io.github.flinkdiffusion.ops.scheduler.Schedulers;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/** The scheduler's part of a step, for a 512 x 512 picture's latent: 4 x 64 x 64. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class SamplerBenchmark {
  private static final int SIZE = 4 * 64 * 64;
  private static final int STEPS = 20;

  @Param({"DDIMScheduler", "DPMSolverMultistepScheduler", "EulerAncestralDiscreteScheduler"})
  private String scheduler;

  private SchedulerConfig config;
  private SamplingPlan plan;
  private float[] noise;
  private float[] output;
  private SamplerState state;
  private TorchGenerator generator;

  @Setup
  public void prepare() {
    config =
        new SchedulerConfig(
            scheduler,
            Map.of("beta_schedule", "scaled_linear", "beta_start", 0.00085, "beta_end", 0.012),
            "benchmark");
    plan = Schedulers.plan(config, STEPS);
    generator = new TorchGenerator(1);
    noise = generator.gaussian(SIZE);
    output = generator.gaussian(SIZE);
    state = SamplerState.start(plan, noise);
  }

  /** One step of one trajectory; a finished one begins anew, once in twenty times. */
  @Benchmark
  public SamplerState advance() {
    if (state.done()) {
      state = SamplerState.start(plan, noise);
    }
    state.advance(output, generator);
    return state;
  }

  /** A plan for twenty steps, which a pipeline keeps. */
  @Benchmark
  public SamplingPlan plan() {
    return Schedulers.plan(config, STEPS);
  }
}
