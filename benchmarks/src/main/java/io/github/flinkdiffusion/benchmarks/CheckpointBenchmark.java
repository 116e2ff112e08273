/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.operator.Diffusion;
import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;
import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.core.execution.CheckpointType;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.runtime.checkpoint.AbstractCheckpointStats;
import org.apache.flink.runtime.checkpoint.CompletedCheckpointStats;
import org.apache.flink.runtime.checkpoint.SubtaskStateStats;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.streaming.api.datastream.AsyncDataStream;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** P5: what checkpoints cost by what is in flight, and what a failure costs. */
@Command(
    name = "checkpoints",
    mixinStandardHelpOptions = true,
    description = "Checkpoints and savepoints by requests in flight; steps redone after a failure.")
final class CheckpointBenchmark extends BenchmarkCommand {
  private static final String OURS = "Flink Diffusion";
  private static final String PEER = "AsyncDataStream";

  private static final double CHECKPOINT_AT = 0.4;
  private static final double FAILURE_AT = 0.5;
  private static final Duration PATIENCE = Duration.ofMinutes(5);
  private static final long POLL_MILLIS = 5;

  @Option(
      names = "--in-flight",
      paramLabel = "N",
      split = ",",
      description = "Requests in flight (default: ${DEFAULT-VALUE}; 4 with --smoke).")
  private List<Integer> inFlight = List.of(8, 32, 128, 512, 1024);

  @Option(
      names = "--rows",
      paramLabel = "N",
      description = "Most rows of a network call (default: ${DEFAULT-VALUE}; 2 with --smoke).")
  private int rows = 8;

  @Option(
      names = "--steps",
      paramLabel = "N",
      description =
          "Steps of a request of the job that fails (default: ${DEFAULT-VALUE}; 10 with --smoke).")
  private int steps = 40;

  @Override
  protected BenchmarkResult.Builder measure() throws Exception {
    if (options().smoke()) {
      inFlight = List.of(4);
      rows = 2;
      steps = 10;
    }
    BenchmarkResult.Builder result =
        new BenchmarkResult.Builder(
            "Checkpoints, savepoints and recovery",
            """
            One subtask makes pictures with `mini-emoji` on the CPU, at most %d rows a network call, while checkpoints into
            a folder are triggered one after another. The operator is kept full by requests of %d steps and up to
            twice as many more; barriers pass it all the same. Twice the rows of a call are begun trajectories with sample and
            history; what waits behind them is a request of a few hundred bytes. The synchronous part is that of the
            slowest subtask. *Steps redone*: %d requests of %d steps, of which
            two calls' worth are in flight, a checkpoint when %.0f %% of all steps are made
            and a device that breaks at %.0f %%, so that the steps between the two
            have to be redone whoever computes. *The first new step* is the first that no attempt had made before: until then the
            model is loaded again and lost steps are made again. The peer is an asynchronous function that hands each request to the
            same engine.
            """
                .formatted(
                    rows, steps / 2, 6 * rows, steps, 100 * CHECKPOINT_AT, 100 * FAILURE_AT));
    Path folder = Files.createTempDirectory("checkpoints");
    try (MiniCluster cluster =
        new MiniCluster(
            new MiniClusterConfiguration.Builder()
                .setNumTaskManagers(1)
                .setNumSlotsPerTaskManager(1)
                .withRandomPorts()
                .build())) {
      cluster.start();
      durations(result, cluster, folder);
      recovery(result, cluster, folder);
    } finally {
      delete(folder);
    }
    return result;
  }

  private void durations(BenchmarkResult.Builder result, MiniCluster cluster, Path folder)
      throws Exception {
    List<Double> durations = new ArrayList<>();
    List<Double> synchronous = new ArrayList<>();
    int shortest = steps / 2;
    int spread = steps;
    for (int count : inFlight) {
      StreamExecutionEnvironment env = environment(folder);
      CountedPipelines pipelines = new CountedPipelines();
      pictures(
          env, pipelines, count, Long.MAX_VALUE - 1, number -> shortest + (int) (number % spread));
      JobID job = cluster.submitJob(env.getStreamGraph().getJobGraph()).get().getJobID();
      // The first are done then and others have come for them, so that steps differ.
      await(() -> pipelines.steps() > 4L * rows * steps, "requests in flight");
      List<Double> seconds = new ArrayList<>();
      List<Double> millis = new ArrayList<>();
      List<Double> kibibytes = new ArrayList<>();
      List<Double> savepoints = new ArrayList<>();
      Rounds rounds = options().rounds();
      for (int round = 0; round < rounds.warmUp() + rounds.measured(); round++) {
        long id = cluster.triggerCheckpoint(job, CheckpointType.FULL).get();
        CompletedCheckpointStats stats = stats(cluster, job, id);
        double savepoint =
            Rounds.seconds(
                () ->
                    cluster
                        .triggerSavepoint(
                            job, folder.toUri().toString(), false, SavepointFormatType.CANONICAL)
                        .get());
        if (round >= rounds.warmUp()) {
          seconds.add(stats.getEndToEndDuration() / 1e3);
          millis.add(synchronousMillis(stats));
          kibibytes.add(stats.getStateSize() / 1024.0);
          savepoints.add(savepoint);
        }
      }
      cluster.cancelJob(job).get();
      cluster.requestJobResult(job).get();
      String scenario = "%d in flight: ".formatted(count);
      Measurement duration = new Measurement(scenario + "checkpoint", OURS, "s", seconds);
      Measurement sync = new Measurement(scenario + "synchronous part", OURS, "ms", millis);
      result.add(duration).add(sync);
      result.add(new Measurement(scenario + "state", OURS, "KiB", kibibytes));
      result.add(new Measurement(scenario + "savepoint", OURS, "s", savepoints));
      durations.add(duration.summary().median() * 1e3);
      synchronous.add(sync.summary().median());
    }
    List<Double> x = inFlight.stream().map(Integer::doubleValue).toList();
    result.add(
        Plot.lines(
            "Checkpoints by requests in flight",
            "requests in flight",
            "milliseconds",
            List.of(),
            List.of(
                new Plot.Series("whole checkpoint", x, durations),
                new Plot.Series("synchronous part", x, synchronous))));
  }

  private void recovery(BenchmarkResult.Builder result, MiniCluster cluster, Path folder)
      throws Exception {
    Map<String, Callable<Double>> subjects = new LinkedHashMap<>();
    Map<String, List<Double>> seconds = Map.of(OURS, new ArrayList<>(), PEER, new ArrayList<>());
    // The source must not have ended by then: a task that closes takes no checkpoint.
    long requests = 6L * rows;
    int capacity = 2 * rows;
    int each = steps;
    subjects.put(
        OURS,
        () -> {
          StreamExecutionEnvironment env = environment(folder);
          CountedPipelines pipelines = new CountedPipelines();
          pictures(env, pipelines, capacity, requests, number -> each);
          return redone(cluster, env, pipelines, requests, seconds.get(OURS));
        });
    subjects.put(
        PEER,
        () -> {
          StreamExecutionEnvironment env = environment(folder);
          CountedPipelines pipelines = new CountedPipelines();
          AsyncDataStream.unorderedWait(
                  prompts(env, requests, number -> each),
                  new PerRequest(pipelines, rows),
                  PATIENCE.toSeconds(),
                  TimeUnit.SECONDS,
                  capacity)
              .sinkTo(new DiscardingSink<>());
          return redone(cluster, env, pipelines, requests, seconds.get(PEER));
        });
    Map<String, Measurement> measured =
        options().rounds().alternate("after a failure", "steps redone", subjects);
    measured.values().forEach(result::add);
    result.add(
        Finding.ratio(
            "steps redone over AsyncDataStream", measured.get(OURS), measured.get(PEER), null));
    Map<String, Measurement> times = new LinkedHashMap<>();
    for (String subject : subjects.keySet()) {
      List<Double> all = seconds.get(subject);
      Measurement time =
          new Measurement(
              "from a failure to the first new step",
              subject,
              "s",
              List.copyOf(all.subList(options().rounds().warmUp(), all.size())));
      times.put(subject, time);
      result.add(time);
    }
    result.add(Finding.speed(times.get(OURS), times.get(PEER), null));
  }

  private double redone(
      MiniCluster cluster,
      StreamExecutionEnvironment env,
      CountedPipelines pipelines,
      long requests,
      List<Double> secondsToFirstNewStep)
      throws Exception {
    long needed = requests * steps;
    JobID job = cluster.submitJob(env.getStreamGraph().getJobGraph()).get().getJobID();
    await(() -> pipelines.steps() >= CHECKPOINT_AT * needed, "the checkpoint's moment");
    cluster.triggerCheckpoint(job, CheckpointType.FULL).get();
    await(() -> pipelines.steps() >= FAILURE_AT * needed, "the failure's moment");
    pipelines.breakDevice();
    cluster.requestJobResult(job).get().toJobExecutionResult(getClass().getClassLoader());
    secondsToFirstNewStep.add(pipelines.secondsToFirstNewStep());
    return pipelines.steps() - needed;
  }

  private StreamExecutionEnvironment environment(Path folder) {
    Configuration settings = new Configuration();
    settings.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, folder.toUri().toString());
    settings.set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem");
    // None but those that are asked for.
    settings.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofDays(1));
    settings.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
    settings.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, 1);
    settings.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, Duration.ZERO);
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(settings);
    env.setParallelism(1);
    return env;
  }

  /** Steps of a request by its number. */
  @FunctionalInterface
  private interface StepCount extends Serializable {
    int of(long number);
  }

  private static DataStream<PromptEvent> prompts(
      StreamExecutionEnvironment env, long count, StepCount stepsOf) {
    return env.fromSource(
            new NumberSequenceSource(0, count - 1), WatermarkStrategy.noWatermarks(), "numbers")
        .map(number -> MiniEmoji.event("r" + number, stepsOf.of(number)))
        .returns(new AvroTypeInfo<>(PromptEvent.class));
  }

  private void pictures(
      StreamExecutionEnvironment env,
      CountedPipelines pipelines,
      int capacity,
      long count,
      StepCount stepsOf) {
    DataStream<ImageEvent> images =
        Diffusion.textToImage()
            .setPipeline(pipelines)
            .setDevice("cpu")
            .setCapacity(capacity)
            .setBatchRows(rows)
            .apply(prompts(env, count, stepsOf))
            .images();
    images.sinkTo(new DiscardingSink<>());
  }

  /** The cluster shows a copy of what it knows, which may be seconds old. */
  private static CompletedCheckpointStats stats(MiniCluster cluster, JobID job, long id)
      throws Exception {
    AbstractCheckpointStats[] found = new AbstractCheckpointStats[1];
    await(
        () -> {
          found[0] =
              cluster
                  .getExecutionGraph(job)
                  .join()
                  .getCheckpointStatsSnapshot()
                  .getHistory()
                  .getCheckpointById(id);
          return found[0] instanceof CompletedCheckpointStats;
        },
        "checkpoint " + id);
    return (CompletedCheckpointStats) found[0];
  }

  private static double synchronousMillis(CompletedCheckpointStats stats) {
    return stats.getAllTaskStateStats().stream()
        .flatMap(task -> Stream.of(task.getSubtaskStats()))
        .mapToLong(SubtaskStateStats::getSyncCheckpointDuration)
        .max()
        .orElseThrow();
  }

  private static void await(BooleanSupplier condition, String what) throws InterruptedException {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (!condition.getAsBoolean()) {
      if (System.nanoTime() - deadline > 0) {
        throw new BenchmarkException("Waited for %s, in vain, for %s.".formatted(what, PATIENCE));
      }
      Thread.sleep(POLL_MILLIS);
    }
  }

  private static void delete(Path folder) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }
}
