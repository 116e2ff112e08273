/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import picocli.CommandLine;
import picocli.CommandLine.Command;

/** The program behind {@code examples/cluster/measure}. */
@Command(
    name = "measure",
    mixinStandardHelpOptions = true,
    description = "Figures that only separate processes can tell.",
    subcommands = {SubmissionSoak.class, CancelDuringCall.class, LongRequests.class})
public final class Measurements {
  private Measurements() {}

  public static void main(String[] args) {
    System.exit(new CommandLine(new Measurements()).execute(args));
  }
}
