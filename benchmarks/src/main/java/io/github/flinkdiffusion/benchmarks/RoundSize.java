/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import picocli.CommandLine.Option;

/** How much a round of a whole job makes. */
final class RoundSize {
  @Option(
      names = "--pictures",
      paramLabel = "N",
      description =
          "Pictures of a round that count; a multiple of --rows (default: ${DEFAULT-VALUE}; 8 with"
              + " --smoke).")
  private int pictures = 128;

  @Option(
      names = "--steps",
      paramLabel = "N",
      description = "Inference steps (default: ${DEFAULT-VALUE}; 2 with --smoke).")
  private int steps = 20;

  @Option(
      names = "--rows",
      paramLabel = "N",
      description = "Pictures of a network call (default: ${DEFAULT-VALUE}; 4 with --smoke).")
  private int rows = 16;

  void shrink() {
    pictures = 8;
    steps = 2;
    rows = 4;
  }

  /** Pictures that count. */
  int pictures() {
    return pictures;
  }

  int steps() {
    return steps;
  }

  /** Pictures of a network call; so many are made before those that count. */
  int rows() {
    return rows;
  }

  /** All pictures of a round. */
  int all() {
    return rows + pictures;
  }
}
