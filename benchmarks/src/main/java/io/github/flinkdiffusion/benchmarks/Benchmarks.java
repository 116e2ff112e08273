/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.benchmarks.gpucheck.GpuCheckPack;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** The benchmarks by name; what {@code benchmarks/run} starts. */
@Command(
    name = "benchmarks/run",
    mixinStandardHelpOptions = true,
    description = "Measures this project side by side with what a user would pick instead.",
    subcommands = {
      HotPathBenchmark.class,
      EngineBenchmark.class,
      UNetBenchmark.class,
      SmallNetworksBenchmark.class,
      TextsBenchmark.class,
      TrainingBenchmark.class,
      LoadBenchmark.class,
      EndToEndBenchmark.class,
      SqlBenchmark.class,
      CredentialsBenchmark.class,
      LatencyBenchmark.class,
      LiveBenchmark.class,
      TenantsBenchmark.class,
      CachingBenchmark.class,
      QuantizedBenchmark.class,
      LorasBenchmark.class,
      CheckpointBenchmark.class,
      ConnectorBenchmark.class,
      MemoryBenchmark.class,
      ScalingBenchmark.class,
      Report.class,
      GpuCheckPack.class
    })
public final class Benchmarks {
  private Benchmarks() {}

  public static void main(String[] arguments) {
    System.exit(run(arguments));
  }

  /** Runs a command; an error that is the caller's to mend is one line on the error stream. */
  static int run(String... arguments) {
    return new CommandLine(new Benchmarks())
        .setCaseInsensitiveEnumValuesAllowed(true)
        .setExecutionExceptionHandler(
            (exception, command, parsed) -> {
              if (!(exception instanceof BenchmarkException)) {
                throw exception;
              }
              command.getErr().println("error: " + exception.getMessage());
              return CommandLine.ExitCode.SOFTWARE;
            })
        .execute(arguments);
  }
}
