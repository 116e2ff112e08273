/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** A program that measures something and leaves a result file. */
public abstract class BenchmarkCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private RunOptions options;

  private final Map<String, String> versions = new TreeMap<>();

  /** Measures, in tiny sizes if {@link RunOptions#smoke} says so. */
  protected abstract BenchmarkResult.Builder measure() throws Exception;

  protected final RunOptions options() {
    return options;
  }

  /** Says a version that the result should name, e.g. of the peer. */
  protected final void version(String software, String version) {
    versions.put(software, version);
  }

  /**
   * Measures two subjects in turns, and how many times the second's rate the first's is.
   *
   * @param subjects ours first, then the peer
   * @param what the ratio is called
   */
  protected final void compare(
      BenchmarkResult.Builder result,
      String scenario,
      String unit,
      Map<String, Callable<Double>> subjects,
      String what,
      Goal goal)
      throws Exception {
    List<Measurement> measured =
        List.copyOf(options.rounds().alternate(scenario, unit, subjects).values());
    measured.forEach(result::add);
    result.add(Finding.ratio(what, measured.get(0), measured.get(1), goal));
  }

  @Override
  public final Integer call() throws Exception {
    String name = spec.name();
    RunInfo run =
        RunInfo.begin(
            CommandText.of(spec.commandLine().getParseResult().originalArgs()),
            RunOptions.home(),
            options.smoke());
    BenchmarkResult result = measure().build(name, run.with(versions));
    Path file = ResultFiles.write(options.results(), result);
    spec.commandLine().getOut().println(Tables.markdown(result));
    spec.commandLine().getOut().println("Written to " + file);
    spec.commandLine().getOut().flush();
    return CommandLine.ExitCode.OK;
  }
}
