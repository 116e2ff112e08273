/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.examples.Soak;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.commons.math3.stat.regression.SimpleRegression;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** P6: what a process holds while it makes thousands of pictures. */
@Command(
    name = "memory",
    mixinStandardHelpOptions = true,
    description = "The resident set of a process that makes many pictures. Linux only.")
final class MemoryBenchmark extends BenchmarkCommand {
  private static final double KIB_PER_MIB = 1024;

  /** What the soak itself allows, a mebibyte, in its unit. */
  private static final Goal FLAT = Goal.atMost(1);

  @Option(
      names = "--pictures",
      paramLabel = "N",
      description = "Pictures (default: ${DEFAULT-VALUE}; 40 with --smoke).")
  private int pictures = 10_000;

  /**
   * @param pictures made so far
   * @param tensors native ones
   */
  private record Sample(int pictures, long residentKib, int tensors) {
    static Sample of(String line) {
      String[] parts = line.split(",");
      return new Sample(
          Integer.parseInt(parts[0]), Long.parseLong(parts[1]), Integer.parseInt(parts[2]));
    }
  }

  @Override
  protected BenchmarkResult.Builder measure() throws Exception {
    if (options().smoke()) {
      pictures = 40;
    }
    int warmUp = pictures / 5;
    List<Sample> samples = soak(warmUp);
    List<Sample> counted = samples.stream().filter(each -> each.pictures() > warmUp).toList();
    SimpleRegression line = new SimpleRegression();
    counted.forEach(each -> line.addData(each.pictures(), each.residentKib() / KIB_PER_MIB));
    String scenario = "%,d pictures".formatted(pictures);
    String subject = "Flink Diffusion";
    Measurement slope =
        new Measurement(
            scenario, subject, "MiB per 1,000 pictures", List.of(1000 * line.getSlope()));
    return new BenchmarkResult.Builder(
            "Memory of a long run",
            """
            The operator makes %,d small pictures of 2 to 4 steps with `mini-emoji`, of two schedulers, guided and not, in
            a process of its own whose heap of 512 MiB is fixed and touched at the beginning. The slope is that of the
            resident set by least squares after the first %,d pictures.
            """
                .formatted(pictures, warmUp))
        .add(slope)
        .add(
            new Measurement(
                scenario,
                subject,
                "MiB resident",
                counted.stream().map(each -> each.residentKib() / KIB_PER_MIB).toList()))
        .add(
            new Measurement(
                scenario,
                subject,
                "native tensors",
                counted.stream().map(each -> (double) each.tensors()).toList()))
        .add(Finding.absolute("growth", slope, FLAT))
        .add(
            Plot.lines(
                "Resident set of a long run",
                "pictures made",
                "MiB",
                List.of(),
                List.of(
                    new Plot.Series(
                        "resident set",
                        samples.stream().map(each -> (double) each.pictures()).toList(),
                        samples.stream().map(each -> each.residentKib() / KIB_PER_MIB).toList()))));
  }

  /** Its exit status is the same judgement on the slope, which a result file may hold too. */
  private List<Sample> soak(int warmUp) throws IOException, InterruptedException {
    Path file = Files.createTempFile("soak", ".csv");
    Path log = Files.createTempFile("soak", ".log");
    try {
      int status =
          new ProcessBuilder(
                  Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                  "-Xms512m",
                  "-Xmx512m",
                  "-XX:+AlwaysPreTouch",
                  "-Dai.djl.offline=true",
                  "-cp",
                  System.getProperty("java.class.path"),
                  Soak.class.getName(),
                  "--model=" + MiniEmoji.folder(),
                  "--count=" + pictures,
                  "--warm-up=" + warmUp,
                  "--samples=" + file)
              .redirectErrorStream(true)
              .redirectOutput(log.toFile())
              .start()
              .waitFor();
      List<Sample> samples = Files.readAllLines(file).stream().map(Sample::of).toList();
      if (samples.isEmpty()) {
        throw new BenchmarkException(
            "The soak ended with %d and no samples: %s".formatted(status, Files.readString(log)));
      }
      return samples;
    } finally {
      Files.delete(file);
      Files.delete(log);
    }
  }
}
