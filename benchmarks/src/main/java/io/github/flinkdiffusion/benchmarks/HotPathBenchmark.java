/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.stream.Collectors;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.results.IterationResult;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import org.openjdk.jmh.runner.options.VerboseMode;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Runs the JMH benchmarks of {@code hotpath}. */
@Command(
    name = "hotpath",
    mixinStandardHelpOptions = true,
    description = "JMH: what runs on the Java heap around the network calls.")
final class HotPathBenchmark extends BenchmarkCommand {
  private static final String PACKAGE = "io.github.flinkdiffusion.benchmarks.hotpath.";
  private static final int PROMPT_SHOWN = 32;

  @Option(
      names = "--only",
      paramLabel = "REGEX",
      description = "Which of them, by class and method (default: all).")
  private String only = ".*";

  @Override
  protected BenchmarkResult.Builder measure() throws RunnerException {
    BenchmarkResult.Builder result =
        new BenchmarkResult.Builder(
            "Hot paths on the Java heap",
            """
            JMH, average time of one call on one thread, each round one iteration of a second after the warm-up, in a
            fresh Java process. What a step costs beside its network call is `SamplerBenchmark.advance` for each
            trajectory and `BatcherBenchmark.call` for all of them together.
            """);
    version("JMH", "1.37");
    for (RunResult each : run()) {
      result.add(measurement(each));
    }
    return result;
  }

  private Collection<RunResult> run() throws RunnerException {
    ChainedOptionsBuilder jmh =
        new OptionsBuilder()
            .include(PACKAGE.replace(".", "\\.") + only)
            .shouldFailOnError(true)
            .warmupIterations(options().rounds().warmUp())
            .measurementIterations(options().rounds().measured());
    if (options().smoke()) {
      jmh =
          jmh.forks(0)
              .verbosity(VerboseMode.SILENT)
              .measurementTime(TimeValue.milliseconds(1))
              .measurementIterations(1);
    } else {
      jmh = jmh.forks(1).warmupTime(TimeValue.seconds(1)).measurementTime(TimeValue.seconds(1));
    }
    return new Runner(jmh.build()).run();
  }

  private static Measurement measurement(RunResult result) {
    List<Double> rounds = new ArrayList<>();
    result
        .getBenchmarkResults()
        .forEach(
            fork ->
                fork.getIterationResults().stream()
                    .map(IterationResult::getPrimaryResult)
                    .forEach(primary -> rounds.add(primary.getScore())));
    return new Measurement(
        scenario(result.getParams()),
        "Flink Diffusion",
        result.getPrimaryResult().getScoreUnit(),
        rounds);
  }

  private static String scenario(BenchmarkParams benchmark) {
    String name = benchmark.getBenchmark().substring(PACKAGE.length());
    String parameters =
        benchmark.getParamsKeys().stream()
            .map(key -> key + " " + shortened(benchmark.getParam(key)))
            .collect(Collectors.joining(", "));
    return parameters.isEmpty() ? name : name + ", " + parameters;
  }

  private static String shortened(String value) {
    return value.length() <= PROMPT_SHOWN
        ? value
        : "%s... (%d characters)".formatted(value.substring(0, PROMPT_SHOWN), value.length());
  }
}
