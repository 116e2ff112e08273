/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** The options that all demos have: where things are and where results go. */
final class DemoOptions {
  @Option(
      names = {"-h", "--help"},
      usageHelp = true,
      description = "Print this and exit.")
  private boolean help;

  @Option(
      names = "--out",
      paramLabel = "FOLDER",
      defaultValue = "out",
      description = "Where the results go (default: ${DEFAULT-VALUE}).")
  private Path out;

  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      defaultValue = "auto",
      description = "auto, cpu or gpu:N (default: ${DEFAULT-VALUE}).")
  private String device;

  @Option(
      names = "--parallelism",
      paramLabel = "N",
      defaultValue = "1",
      description = "Parallelism of the Flink job (default: ${DEFAULT-VALUE}).")
  private int parallelism;

  @Option(
      names = "--bootstrap-servers",
      paramLabel = "HOST:PORT",
      description = "Use this Kafka instead of starting one; missing topics are created there.")
  private String bootstrapServers;

  Path out() {
    return out;
  }

  String device() {
    return device;
  }

  int parallelism() {
    if (parallelism < 1) {
      throw new DemoException("--parallelism is %d; it must be at least 1.".formatted(parallelism));
    }
    return parallelism;
  }

  boolean hasKafka() {
    return bootstrapServers != null;
  }

  /** What needs a Kafka. */
  @FunctionalInterface
  interface OnKafka {
    DemoRun.Results make(String bootstrapServers) throws Exception;
  }

  /** Runs it on the Kafka of {@code --bootstrap-servers}, or one that lives as long as it. */
  DemoRun.Results onKafka(OnKafka run) throws Exception {
    if (hasKafka()) {
      return run.make(bootstrapServers);
    }
    try (EmbeddedKafka kafka = EmbeddedKafka.builder().start()) {
      return run.make(kafka.bootstrapServers());
    }
  }
}
