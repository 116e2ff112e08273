/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Makes one page of all results: {@code docs/benchmarks.md}, with its plots in a folder beside. */
@Command(
    name = "report",
    mixinStandardHelpOptions = true,
    description =
        "Makes docs/benchmarks.md and docs/scaling.md, with plots, of the files in benchmarks/results.")
final class Report implements Callable<Integer> {
  @Option(
      names = "--results",
      paramLabel = "FOLDER",
      description = "Where the results are (default: benchmarks/results).")
  private Path results = RunOptions.home().resolve("benchmarks/results");

  @Option(
      names = "--output",
      paramLabel = "FILE",
      description =
          "The page; plots go to a folder beside it, named as it is without the extension (default:"
              + " docs/benchmarks.md).")
  private Path output = RunOptions.home().resolve("docs/benchmarks.md");

  @Override
  public Integer call() {
    Map<Boolean, List<BenchmarkResult>> simulated =
        ResultFiles.readAll(results).stream()
            .collect(
                Collectors.partitioningBy(each -> each.benchmark().equals(ScalingBenchmark.NAME)));
    write(simulated.get(false), output);
    if (!simulated.get(true).isEmpty()) {
      write(simulated.get(true), output.resolveSibling("scaling.md"), SCALING);
    }
    return CommandLine.ExitCode.OK;
  }

  static void write(List<BenchmarkResult> results, Path page) {
    write(results, page, INTRODUCTION + Tables.goals(results));
  }

  private static void write(List<BenchmarkResult> results, Path page, String introduction) {
    if (results.isEmpty()) {
      throw new BenchmarkException(
          "There are no results to report; benchmarks/run --help lists what can be measured.");
    }
    String folder = page.getFileName().toString().replaceFirst("\\.md$", "");
    Path plots = page.resolveSibling(folder);
    try {
      deletePlots(plots);
      Files.createDirectories(plots);
      StringBuilder text = new StringBuilder(introduction);
      for (BenchmarkResult result : results) {
        section(result, folder, plots, text);
      }
      Files.writeString(page, text);
    } catch (IOException e) {
      throw new BenchmarkException("Report " + page + " could not be written: " + e, e);
    }
  }

  private static final String INTRODUCTION =
      """
      # Benchmarks

      Made by `benchmarks/run report` of the files in `benchmarks/results`; do not edit. Numbers are medians over the
      rounds, with the least and the greatest; peers were measured in turn within each round, and a ratio is the median of
      the rounds' own ratios. Each section says the command that repeats it; [benchmarks/README.md](../benchmarks/README.md)
      says how; [profiles.md](profiles.md) where the time goes, and what was tried where a goal is missed.

      """;

  private static final String SCALING =
      """
      # Scaling

      Made by `benchmarks/run report` of `benchmarks/results/scaling.json`; do not edit. What is on this page is simulated
      or computed, by the command and from the assumptions that it says, not measured on so many devices.

      """;

  private static void section(
      BenchmarkResult result, String folder, Path plots, StringBuilder text) {
    RunInfo run = result.run();
    text.append("## ").append(result.title()).append("\n\n");
    if (run.smoke()) {
      text.append("**A smoke run in tiny sizes: its figures mean nothing.**\n\n");
    }
    text.append(result.method().strip()).append("\n\n");
    text.append(Tables.markdown(result));
    for (int i = 0; i < result.plots().size(); i++) {
      Plot plot = result.plots().get(i);
      String name = "%s-%d.png".formatted(result.benchmark(), i + 1);
      Charts.write(plot, plots.resolve(name));
      text.append("![%s](%s/%s)%n%n".formatted(plot.title(), folder, name));
    }
    result.notes().forEach(note -> text.append("- ").append(note.strip()).append('\n'));
    if (!result.notes().isEmpty()) {
      text.append('\n');
    }
    text.append("    ").append(run.command()).append("\n\n");
    text.append(
        "%s, commit %s. %s; %d cores, %d GiB, %s; %d threads on each side; load before the run %s. %s.%n%n"
            .formatted(
                run.date(),
                run.commit(),
                run.machine().cpu(),
                run.machine().cores(),
                run.machine().memoryGiB(),
                run.machine().os(),
                run.threads(),
                String.format(Locale.ROOT, "%.2f", run.loadBefore()),
                run.versions().entrySet().stream()
                    .map(each -> each.getKey() + " " + each.getValue())
                    .collect(Collectors.joining(", "))));
  }

  /** Those of benchmarks that are no more, too. */
  private static void deletePlots(Path plots) throws IOException {
    if (!Files.isDirectory(plots)) {
      return;
    }
    try (Stream<Path> files = Files.list(plots)) {
      for (Path file : files.filter(each -> each.toString().endsWith(".png")).toList()) {
        Files.delete(file);
      }
    }
  }
}
