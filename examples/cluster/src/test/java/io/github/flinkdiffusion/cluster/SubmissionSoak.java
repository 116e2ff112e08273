/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import static io.github.flinkdiffusion.cluster.Measured.say;
import static io.github.flinkdiffusion.cluster.Measured.until;

import io.github.flinkdiffusion.examples.TextToImageJob;
import io.github.flinkdiffusion.examples.Topics;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.common.TopicPartition;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** What a TaskManager holds after many jobs were submitted to it and cancelled. */
@Command(
    name = "submissions",
    mixinStandardHelpOptions = true,
    description =
        "The text-to-image job is submitted to one TaskManager and cancelled after its first image,"
            + " again and again: threads, descriptors, metaspace, resident set.")
final class SubmissionSoak implements Callable<Integer> {
  private static final int FIRST_LOOK = 20;

  /** Threads of clients that are being closed end by themselves within it. */
  private static final Duration SETTLING = Duration.ofSeconds(10);

  @Option(names = "--count", defaultValue = "200", description = "Default: ${DEFAULT-VALUE}.")
  private int count;

  @Option(
      names = "--minutes",
      defaultValue = "25",
      description = "Ends earlier when it takes longer (default: ${DEFAULT-VALUE}).")
  private int minutes;

  @Option(names = "--folder", defaultValue = "target/submissions")
  private Path folder;

  private record Held(int threads, int descriptors, long metaspaceKiB, long residentKiB) {}

  @Override
  public Integer call() throws Exception {
    long end = System.nanoTime() + Duration.ofMinutes(minutes).toNanos();
    try (Measured measured =
        new Measured(folder, List.of(), "broker", "jobmanager", "taskmanager-1")) {
      Topics topics = measured.createTopics("soak-");
      int port = Integer.parseInt(setting(measured, "rest.port"));
      Configuration configuration = new Configuration();
      configuration.setString("diffusion.kafka.bootstrap-servers", measured.servers());
      configuration.setString("diffusion.kafka.transactional-id-prefix", "soak");
      configuration.set(DiffusionOptions.MODEL_FOLDER, Measured.EMOJI.toString());
      configuration.set(DiffusionOptions.DEVICE, "cpu");
      configuration.set(DiffusionOptions.BATCH_ROWS, 4);
      configuration.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofSeconds(1));
      say(
          "%11s %8s %11s %14s %16s",
          "submissions", "threads", "descriptors", "metaspace MiB", "resident set MiB");
      Held first = null;
      Held half = null;
      int halfAt = 0;
      Held last = null;
      int done = 0;
      try (Answers answers = new Answers(measured.servers(), topics, 1)) {
        while (done < count && System.nanoTime() < end) {
          measured.send(topics, List.of(Measured.prompt("r" + done, 2)));
          int wanted = answers.count() + 1;
          StreamExecutionEnvironment env =
              StreamExecutionEnvironment.createRemoteEnvironment(
                  "127.0.0.1", port, configuration, Measured.jar().toString());
          env.setParallelism(1);
          TextToImageJob.create()
              .startingAt(
                  OffsetsInitializer.offsets(
                      Map.of(new TopicPartition(topics.requests(), 0), (long) done)))
              .define(env, topics);
          JobClient job = env.executeAsync("soak");
          until("an image", () -> answers.count() >= wanted);
          measured.rest().cancel(job.getJobID().toHexString());
          until("the job is gone", () -> measured.rest().jobs().isEmpty());
          done++;
          if (done % 20 == 0 || done == count) {
            last = settled(measured);
            say(
                "%11d %8d %11d %14.1f %16.1f",
                done,
                last.threads(),
                last.descriptors(),
                last.metaspaceKiB() / 1024.0,
                last.residentKiB() / 1024.0);
            first = done == FIRST_LOOK ? last : first;
            if (done >= count / 2 && half == null) {
              half = last;
              halfAt = done;
            }
          }
        }
      }
      if (first == null || last == first || half == last) {
        say("too few submissions in %d min to compare: %d", minutes, done);
        return 1;
      }
      say(
          "since %d submissions: %+d threads, %+d descriptors; per submission over the last %d:"
              + " metaspace %+.3f MB, resident set %+.3f MB",
          FIRST_LOOK,
          last.threads() - first.threads(),
          last.descriptors() - first.descriptors(),
          done - halfAt,
          (last.metaspaceKiB() - half.metaspaceKiB()) * 1024 / 1e6 / (done - halfAt),
          (last.residentKiB() - half.residentKiB()) * 1024 / 1e6 / (done - halfAt));
      return last.threads() <= first.threads() && last.descriptors() <= first.descriptors() ? 0 : 1;
    }
  }

  private static String setting(Measured measured, String key) throws IOException {
    try (Stream<String> lines =
        Files.lines(measured.cluster().folder().resolve("conf/config.yaml"))) {
      return lines
          .filter(line -> line.startsWith(key + ": "))
          .map(line -> line.substring(key.length() + 2))
          .findFirst()
          .orElseThrow();
    }
  }

  /** The least of what is seen for a while: what is on its way out does not count. */
  private static Held settled(Measured measured) throws Exception {
    long end = System.nanoTime() + SETTLING.toNanos();
    Held least = look(measured);
    while (System.nanoTime() < end) {
      Thread.sleep(500);
      Held now = look(measured);
      least =
          new Held(
              Math.min(least.threads(), now.threads()),
              Math.min(least.descriptors(), now.descriptors()),
              now.metaspaceKiB(),
              now.residentKiB());
    }
    return least;
  }

  private static Held look(Measured measured) throws IOException {
    Path process = Path.of("/proc/" + measured.pid("taskmanager-1"));
    long resident;
    try (Stream<String> lines = Files.lines(process.resolve("status"))) {
      resident =
          Long.parseLong(
              lines
                  .filter(line -> line.startsWith("VmRSS:"))
                  .findFirst()
                  .orElseThrow()
                  .replaceAll("[^0-9]", ""));
    }
    return new Held(
        entries(process.resolve("task")),
        entries(process.resolve("fd")),
        measured.rest().metaspaceBytes("taskmanager-1") / 1024,
        resident);
  }

  private static int entries(Path folder) throws IOException {
    try (Stream<Path> all = Files.list(folder)) {
      return (int) all.count();
    }
  }
}
