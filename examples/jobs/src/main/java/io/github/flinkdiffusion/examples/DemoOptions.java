/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The options that all demos have: where things are and where results go. */
final class DemoOptions {
  private static final Map<String, String> OF_ARGUMENTS =
      Map.of(
          DiffusionOptions.MODEL_FOLDER.key(),
          "--model",
          DiffusionOptions.DEVICE.key(),
          "--device",
          KafkaOptions.BOOTSTRAP_SERVERS.key(),
          "--bootstrap-servers",
          CoreOptions.DEFAULT_PARALLELISM.key(),
          "--parallelism");

  @Mixin private HelpOption help;

  @Option(
      names = "--out",
      paramLabel = "FOLDER",
      description =
          "Where the results go: a folder that is empty or not there (default: out, or out-2 and so"
              + " on if that exists).")
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

  @Option(
      names = "-D",
      paramLabel = "KEY=VALUE",
      description =
          "Option of the job, of docs/OPTIONS.md or Flink's own, such as -Ddiffusion.batch.rows=4;"
              + " may be given several times.")
  private Map<String, String> jobOptions = new LinkedHashMap<>();

  /** As given; null for a new folder beside those of earlier runs. */
  Path out() {
    return out;
  }

  /**
   * Adds what {@code -D} sets.
   *
   * @throws DemoException for an option that an argument of its own sets
   */
  void addTo(Configuration settings) {
    jobOptions.forEach(
        (key, value) -> {
          String argument = OF_ARGUMENTS.get(key);
          if (argument != null) {
            throw new DemoException("Use %s instead of -D%s.".formatted(argument, key));
          }
          settings.setString(key, value);
        });
  }

  /** Keys that {@code -D} sets. */
  Set<String> keys() {
    return jobOptions.keySet();
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

  /**
   * Draws prompts.
   *
   * @param ownJob whether a job is started that does it
   */
  DemoRun.Results draw(
      Topics topics,
      Configuration settings,
      boolean ownJob,
      int parallelism,
      List<DemoRun.Request> requests)
      throws Exception {
    return onKafka(
        servers ->
            new DemoRun(
                    servers,
                    topics,
                    settings,
                    ownJob,
                    parallelism,
                    (env, names, start) ->
                        TextToImageJob.create().startingAt(start).define(env, names))
                .make(requests));
  }
}
