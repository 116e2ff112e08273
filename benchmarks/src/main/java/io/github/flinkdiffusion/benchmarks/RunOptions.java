/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import java.nio.file.Path;
import java.util.Optional;
import picocli.CommandLine.Option;

/** Options of all benchmarks. */
public final class RunOptions {
  private static final Rounds SMOKE = new Rounds(0, 2);

  @Option(
      names = "--smoke",
      description = "Tiny sizes: shows that the program runs; its figures mean nothing.")
  private boolean smoke;

  @Option(
      names = "--rounds",
      paramLabel = "N",
      description = "Measured rounds (default: ${DEFAULT-VALUE}; 2 with --smoke).")
  private int rounds = 5;

  @Option(
      names = "--warm-up",
      paramLabel = "N",
      description = "Rounds that do not count (default: ${DEFAULT-VALUE}; none with --smoke).")
  private int warmUp = 2;

  @Option(
      names = "--results",
      paramLabel = "FOLDER",
      description =
          "Where the result file goes (default: benchmarks/results; with --smoke"
              + " benchmarks/target/smoke).")
  private Path results;

  @Option(
      names = "--python",
      paramLabel = "PROGRAM",
      description =
          "A Python with torch and diffusers (benchmarks/README.md); without it that peer's column"
              + " is empty.")
  private String python;

  public boolean smoke() {
    return smoke;
  }

  public Rounds rounds() {
    return smoke ? SMOKE : new Rounds(warmUp, rounds);
  }

  public Optional<String> python() {
    return Optional.ofNullable(python);
  }

  Path results() {
    if (results != null) {
      return results;
    }
    return home().resolve("benchmarks").resolve(smoke ? "target/smoke" : "results");
  }

  /** The project's folder. */
  public static Path home() {
    return Path.of(System.getProperty("flinkdiffusion.home", "..")).toAbsolutePath().normalize();
  }
}
