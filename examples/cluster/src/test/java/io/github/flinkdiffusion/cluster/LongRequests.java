/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import static io.github.flinkdiffusion.cluster.Measured.say;
import static io.github.flinkdiffusion.cluster.Measured.until;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.examples.TextToImageJob;
import io.github.flinkdiffusion.examples.Topics;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Checkpoints under requests of many steps and a full operator; what a kill costs then. */
@Command(
    name = "long",
    mixinStandardHelpOptions = true,
    description =
        "Capacity 4 and ten requests of 1,000 steps on mini-emoji, a checkpoint every 5 s:"
            + " durations; a TaskManager is killed; then overload with the operator full all the"
            + " time.")
final class LongRequests implements Callable<Integer> {
  private static final int INTERVAL_SECONDS = 5;
  private static final int STEPS = 1000;

  @Option(
      names = "--requests",
      paramLabel = "N",
      defaultValue = "10",
      description =
          "Before the overload; a TaskManager is killed meanwhile (default: ${DEFAULT-VALUE}; 0:"
              + " overload alone).")
  private int requests;

  @Option(
      names = "--minutes",
      defaultValue = "10",
      description = "Of overload (default: ${DEFAULT-VALUE}).")
  private int minutes;

  @Option(
      names = "--call-seconds",
      defaultValue = "0",
      description =
          "By which a device call is longer, as a stand-in for a slow device (default:"
              + " ${DEFAULT-VALUE}); with it, only the overload is measured.")
  private int callSeconds;

  @Option(names = "--folder", defaultValue = "target/long")
  private Path folder;

  /** Checkpoints by id, as they were seen last: Flink remembers the newest few only. */
  private final Map<Long, JsonNode> seen = new TreeMap<>();

  private final Map<Long, Long> synchronous = new HashMap<>();

  @Override
  public Integer call() throws Exception {
    List<String> configuration =
        List.of(
            "execution.checkpointing.interval: " + INTERVAL_SECONDS + "s",
            "execution.checkpointing.timeout: 40s",
            "web.checkpoints.history: 200");
    boolean right = true;
    try (Measured measured =
        new Measured(folder, configuration, "broker", "jobmanager", "taskmanager-1")) {
      FlinkRest rest = measured.rest();
      Topics topics = measured.createTopics("long-");
      List<String> options =
          List.of(
              "-p",
              "1",
              "-Ddiffusion.capacity=4",
              "-Ddiffusion.batch.rows=8",
              "-Ddiffusion.progress.every-steps=1");
      String job =
          callSeconds == 0
              ? measured.submit(TextToImageJob.class.getName(), options, "long-")
              : measured.submit(
                  SlowDeviceJob.class.getName(), options, "long-", callSeconds + "000", "false");
      try (Answers answers = new Answers(measured.servers(), topics, 1)) {
        until("the job runs", () -> rest.job(job).allTasksRun());
        if (callSeconds == 0 && requests > 0) {
          measured.send(topics, requests("r", requests));
          until("they are denoised", () -> answers.stepCount() > 50);
          seen.clear();
          long begin = System.nanoTime();
          Resumption resumption = new Resumption();
          while (answers.count() < requests) {
            look(rest, job);
            if (!resumption.killed
                && completed() >= 3
                && System.nanoTime() - begin > Duration.ofSeconds(INTERVAL_SECONDS * 4).toNanos()) {
              // Somewhere between two checkpoints.
              Thread.sleep((long) (Math.random() * INTERVAL_SECONDS * 1000));
              look(rest, job);
              resumption.kill(measured, job, rest);
            }
            Thread.sleep(200);
          }
          say("%d requests of %d steps, capacity 4:", requests, STEPS);
          right &= report(resumption.killed ? 1 : 0);
          right &= redone(answers, resumption);
        }
        if (minutes == 0) {
          return right ? 0 : 1;
        }
        seen.clear();
        long begin = System.nanoTime();
        int sent = 0;
        int before = answers.count();
        while (System.nanoTime() - begin < Duration.ofMinutes(minutes).toNanos()) {
          if (sent - (answers.count() - before) < 12) {
            measured.send(topics, requests(SlowDevice.SLOW_REQUEST + sent + "-", 4));
            sent += 4;
          }
          look(rest, job);
          Thread.sleep(500);
        }
        say(
            "%d min of overload%s, %d requests done:",
            minutes,
            callSeconds == 0 ? "" : " with calls of " + callSeconds + " s (a stand-in)",
            answers.count() - before);
        right &= report(0);
        rest.cancel(job);
      }
    }
    return right ? 0 : 1;
  }

  private static List<PromptEvent> requests(String prefix, int count) {
    return IntStream.range(0, count).mapToObj(i -> Measured.prompt(prefix + i, STEPS)).toList();
  }

  private static final class Resumption {
    boolean killed;
    long at;
    long checkpointTriggered;

    void kill(Measured measured, String job, FlinkRest rest) throws Exception {
      JsonNode newest = rest.checkpoints(job).all().path("latest").path("completed");
      checkpointTriggered = newest.path("trigger_timestamp").asLong();
      measured.cluster().run("kill", "taskmanager-1");
      at = System.currentTimeMillis();
      killed = true;
      measured.cluster().run("start", "taskmanager-1");
    }
  }

  private void look(FlinkRest rest, String job) {
    try {
      for (JsonNode checkpoint : rest.checkpoints(job).all().path("history")) {
        long id = checkpoint.path("id").asLong();
        seen.put(id, checkpoint);
        if (checkpoint.path("status").asText().equals("COMPLETED")
            && !synchronous.containsKey(id)) {
          synchronous.put(id, rest.synchronousMillis(job, id));
        }
      }
    } catch (UncheckedIOException e) {
      // Not at the moment.
    }
  }

  private long completed() {
    return seen.values().stream()
        .filter(c -> c.path("status").asText().equals("COMPLETED"))
        .count();
  }

  /**
   * @param allowedToFail those that a kill interrupts
   */
  private boolean report(int allowedToFail) {
    List<Long> durations = new ArrayList<>();
    List<Long> parts = new ArrayList<>();
    long failed = 0;
    for (JsonNode checkpoint : seen.values()) {
      String status = checkpoint.path("status").asText();
      if (status.equals("COMPLETED")) {
        durations.add(checkpoint.path("end_to_end_duration").asLong());
        parts.add(synchronous.getOrDefault(checkpoint.path("id").asLong(), 0L));
      } else if (status.equals("FAILED")) {
        failed++;
      }
    }
    say(
        "  checkpoints: %d completed, %d failed; duration median %d ms, p99 %d ms, longest %d ms;"
            + " synchronous part median %d ms, p99 %d ms",
        durations.size(),
        failed,
        percentile(durations, 0.5),
        percentile(durations, 0.99),
        percentile(durations, 1),
        percentile(parts, 0.5),
        percentile(parts, 0.99));
    return failed <= allowedToFail && !durations.isEmpty();
  }

  private static long percentile(List<Long> values, double share) {
    long[] sorted = values.stream().mapToLong(Long::longValue).sorted().toArray();
    return sorted.length == 0
        ? -1
        : sorted[Math.min(sorted.length - 1, (int) Math.ceil(share * sorted.length) - 1)];
  }

  /** Steps that were told twice, beside those told since the checkpoint that was restored began. */
  private static boolean redone(Answers answers, Resumption resumption) {
    Map<String, BitSet> told = new HashMap<>();
    int twice = 0;
    int since = 0;
    for (Answers.Step step : answers.steps()) {
      BitSet steps = told.computeIfAbsent(step.id(), id -> new BitSet());
      if (steps.get(step.step())) {
        twice++;
      }
      steps.set(step.step());
      if (step.appended() >= resumption.checkpointTriggered && step.appended() <= resumption.at) {
        since++;
      }
    }
    say(
        "  after kill -9, %.1f s behind the checkpoint's begin: %d steps redone, of %d that were"
            + " told since it began",
        (resumption.at - resumption.checkpointTriggered) / 1e3, twice, since);
    return twice <= since;
  }
}
