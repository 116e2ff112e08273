/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.examples.Topics;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** A cluster for one measurement, with what the measurements have in common. */
final class Measured implements AutoCloseable {
  static final Path HOME = Path.of("../..").toAbsolutePath().normalize();
  static final Path EMOJI = HOME.resolve("examples/models/mini-emoji");
  private static final Duration PATIENCE = Duration.ofMinutes(10);

  private final LocalCluster cluster;
  private final FlinkRest rest;

  /**
   * Starts a cluster in an emptied folder.
   *
   * @param configuration lines for Flink's configuration
   * @param parts to start, or none for all
   */
  Measured(Path folder, List<String> configuration, String... parts) throws Exception {
    this(folder, configuration, List.of(), parts);
  }

  /**
   * The same with more than deploy/ says in lib/.
   *
   * @param more jars
   */
  Measured(Path folder, List<String> configuration, List<Path> more, String... parts)
      throws Exception {
    Path absolute = folder.toAbsolutePath().normalize();
    Files.createDirectories(absolute);
    Path lines = absolute.resolve("flink.yaml");
    Files.write(lines, configuration);
    Path libraries = absolute.resolve("lib.classpath");
    Files.writeString(
        libraries,
        Files.readString(HOME.resolve("deploy/target/lib.classpath")).strip()
            + ":"
            + Path.of("target/test-classes").toAbsolutePath()
            + ":"
            + jar() // classes in lib/ do not see those of a job's jar
            + more.stream().map(jar -> ":" + jar).collect(Collectors.joining()));
    cluster =
        new LocalCluster(
            absolute.resolve("cluster"),
            ProcessHandle.current().pid(),
            Map.of("CLUSTER_CONFIG", lines.toString(), "CLUSTER_LIB", libraries.toString()));
    cluster.run("clean");
    try {
      cluster.run(Stream.concat(Stream.of("start"), Arrays.stream(parts)).toArray(String[]::new));
      rest = cluster.rest();
      until("a TaskManager is there", () -> !rest.taskManagers().isEmpty());
    } catch (Exception | AssertionError e) {
      cluster.close();
      throw e;
    }
  }

  FlinkRest rest() {
    return rest;
  }

  LocalCluster cluster() {
    return cluster;
  }

  String servers() {
    return cluster.bootstrapServers();
  }

  /** With one partition each. */
  Topics createTopics(String prefix) throws InterruptedException, ExecutionException {
    return createTopics(prefix, 1);
  }

  Topics createTopics(String prefix, int partitions)
      throws InterruptedException, ExecutionException {
    Topics topics = Topics.withPrefix(prefix);
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", servers()))) {
      admin
          .createTopics(
              Stream.of(topics.requests(), topics.images(), topics.failures(), topics.progress())
                  .map(
                      name ->
                          new NewTopic(name, Optional.of(partitions), Optional.of((short) 1))
                              .configs(
                                  Map.of(
                                      "max.message.bytes",
                                      Integer.toString(16 << 20),
                                      "message.timestamp.type",
                                      "LogAppendTime")))
                  .toList())
          .all()
          .get();
    }
    return topics;
  }

  void send(Topics topics, List<PromptEvent> prompts) {
    send(topics, prompts, 1);
  }

  /** To all partitions in turn. */
  void send(Topics topics, List<PromptEvent> prompts, int partitions) {
    try (KafkaProducer<byte[], byte[]> producer =
        new KafkaProducer<>(
            Map.of("bootstrap.servers", servers()),
            new ByteArraySerializer(),
            new ByteArraySerializer())) {
      for (int number = 0; number < prompts.size(); number++) {
        producer.send(
            new ProducerRecord<>(
                topics.requests(),
                number % partitions,
                null,
                EventCodec.prompts().encode(prompts.get(number))));
      }
      producer.flush();
    }
  }

  static PromptEvent prompt(String id, int steps) {
    return PromptEvent.newBuilder()
        .setId(id)
        .setPrompt("a red apple on a blue background")
        .setSeed((long) id.hashCode())
        .setSteps(steps)
        .build();
  }

  /** Submits a program on mini-emoji; returns the job's id. */
  String submit(String program, List<String> options, String... arguments) throws IOException {
    List<String> command = new ArrayList<>(List.of("flink", "run", "--detached", "-t", "remote"));
    command.add("-Ddiffusion.model.folder=" + EMOJI);
    command.add("-Ddiffusion.device=cpu");
    command.add("-Ddiffusion.kafka.transactional-id-prefix=" + arguments[0].replaceAll("-$", ""));
    command.addAll(options);
    command.addAll(List.of("-c", program, jar().toString()));
    command.addAll(List.of(arguments));
    return LocalCluster.jobId(cluster.run(command.toArray(String[]::new)));
  }

  static Path jar() throws IOException {
    try (Stream<Path> files = Files.list(HOME.resolve("examples/jobs/target"))) {
      return files
          .filter(
              file -> file.getFileName().toString().matches("flink-diffusion-examples-.*\\.jar"))
          .filter(file -> !file.toString().matches(".*(sources|javadoc|tests).*"))
          .findFirst()
          .orElseThrow(() -> new IOException("The job's jar is missing: build examples/jobs."));
    }
  }

  long pid(String part) throws IOException {
    return Long.parseLong(Files.readString(cluster.folder().resolve("pids/" + part)).strip());
  }

  static void until(String what, Callable<Boolean> condition) throws Exception {
    until(what, PATIENCE, condition);
  }

  static void until(String what, Duration patience, Callable<Boolean> condition) throws Exception {
    long end = System.nanoTime() + patience.toNanos();
    while (true) {
      try {
        if (condition.call()) {
          return;
        }
      } catch (UncheckedIOException e) {
        // A part that is not there, at the moment.
      }
      if (System.nanoTime() > end) {
        throw new IllegalStateException("waited for %s: %s".formatted(patience, what));
      }
      Thread.sleep(20);
    }
  }

  static void say(String format, Object... arguments) {
    System.out.println(String.format(Locale.ROOT, format, arguments));
    System.out.flush();
  }

  @Override
  public void close() {
    cluster.close();
  }
}
