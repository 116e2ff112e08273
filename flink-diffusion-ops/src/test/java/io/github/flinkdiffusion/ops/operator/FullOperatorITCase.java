/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.undisturbed;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.fakes.HeldPipelines;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Objects;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.client.program.ClusterClient;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExternalizedCheckpointRetention;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.Metric;
import org.apache.flink.runtime.checkpoint.CompletedCheckpointStats;
import org.apache.flink.runtime.client.JobStatusMessage;
import org.apache.flink.runtime.metrics.TimerGauge;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.testutils.InMemoryReporter;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.apache.flink.test.junit5.InjectClusterClient;
import org.apache.flink.test.junit5.InjectMiniCluster;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.util.CloseableIterator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * An operator that is full, whose requests do not get done, with many more behind it: checkpoints
 * pass, nothing is admitted, and nothing is lost by a failure or a change of parallelism meanwhile.
 */
@Timeout(120) // a job that hangs must not hang the build
class FullOperatorITCase {
  static final int PROMPTS = 120;
  static final int CAPACITY = 3;
  private static final int PARALLELISM = 2;
  private static final int CHECKPOINTS = 4;
  private static final Duration PATIENCE = Duration.ofSeconds(60);

  /** Makes a prompt large, so that not all of them fit into the buffers between two tasks. */
  private static final String PADDING = "x".repeat(4000);

  /** Keeps the metrics of attempts that have ended. */
  private static final InMemoryReporter METRICS = InMemoryReporter.create();

  @RegisterExtension
  static final MiniClusterExtension CLUSTER =
      new MiniClusterExtension(
          new MiniClusterResourceConfiguration.Builder()
              .setConfiguration(METRICS.addToConfiguration(new Configuration()))
              .setNumberTaskManagers(1)
              .setNumberSlotsPerTaskManager(4)
              .build());

  @TempDir Path folder;

  private final List<ImageEvent> images = new ArrayList<>();

  static final AvroTypeInfo<PromptEvent> TYPE = new AvroTypeInfo<>(PromptEvent.class);

  @BeforeEach
  void hold() {
    HeldPipelines.hold();
  }

  /** What a failed test leaves must not take part in the next. */
  @AfterEach
  void endJobs(@InjectClusterClient ClusterClient<?> client) throws Exception {
    HeldPipelines.letGo();
    for (JobStatusMessage job : client.listJobs().get()) {
      if (!job.getJobState().isGloballyTerminalState()) {
        client.cancel(job.getJobId()).get();
        client.requestJobResult(job.getJobId()).get();
      }
    }
  }

  static PromptEvent prompt(int number) {
    PromptEvent prompt = Subtask.prompt("r" + number, 1 + number % 5);
    prompt.setNegativePrompt(PADDING);
    return prompt;
  }

  private Configuration configuration(boolean unaligned) {
    Configuration config = new Configuration();
    config.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(20));
    config.set(CheckpointingOptions.ENABLE_UNALIGNED, unaligned);
    config.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, folder.toUri().toString());
    config.set(
        CheckpointingOptions.EXTERNALIZED_CHECKPOINT_RETENTION,
        ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION);
    config.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
    // A checkpoint that is on its way when the device breaks may fail the job a second time.
    config.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, 3);
    config.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, Duration.ZERO);
    return config;
  }

  private static DiffusionStreams pictures(StreamExecutionEnvironment env, InputShape shape) {
    DataStream<PromptEvent> prompts =
        env.fromSource(
                new DataGeneratorSource<>(number -> prompt(number.intValue()), PROMPTS, TYPE),
                WatermarkStrategy.noWatermarks(),
                "prompts")
            .uid("prompts");
    return Diffusion.textToImage()
        .setPipeline(new HeldPipelines())
        .setCapacity(CAPACITY)
        .setBatchRows(64) // all take part in every call
        .uid("pictures")
        .apply(shape.in(prompts));
  }

  @ParameterizedTest
  @EnumSource
  void checkpointsPassAndAFailureMeanwhileLosesAndDoublesNothing(
      InputShape shape, @InjectMiniCluster MiniCluster cluster) throws Exception {
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.getExecutionEnvironment(configuration(shape.unaligned));
    env.setParallelism(PARALLELISM);
    DiffusionStreams streams = pictures(env, shape);
    try (CloseableIterator<ImageEvent> results = streams.images().collectAsync();
        CloseableIterator<FailureEvent> failures = streams.failures().collectAsync()) {
      JobID job = env.executeAsync("full").getJobID();
      awaitFull(job, PARALLELISM);
      new JobCheckpoints(cluster, job).awaitMore(CHECKPOINTS, PATIENCE);
      assertThat(HeldPipelines.running()).isEqualTo(PARALLELISM * CAPACITY);

      HeldPipelines.breakOnce();
      await("the failure").atMost(PATIENCE).until(HeldPipelines::hasBroken);
      if (shape.unaligned && !isChained(shape)) {
        // A task begins to run when it has admitted all that the checkpoint holds of its channels.
        HeldPipelines.letGo();
      } else {
        // After a failure of the device requests run by halves, so a full operator runs fewer.
        await("restored and full")
            .atMost(PATIENCE)
            .until(() -> HeldPipelines.running() > 0 && inFlight(job, PARALLELISM));
        new JobCheckpoints(cluster, job).awaitMore(CHECKPOINTS, PATIENCE);
        HeldPipelines.letGo();
      }
      results.forEachRemaining(images::add);
      assertThat(failures).isExhausted();
    }
    assertThat(HeldPipelines.mostRunning()).isEqualTo(PARALLELISM * CAPACITY);
    assertEveryRequestOnce();
  }

  private static boolean isChained(InputShape shape) {
    return shape == InputShape.CHAINED || shape == InputShape.CHAINED_UNALIGNED;
  }

  /** With 1 subtask it has twice its capacity at once; with 3 there is room for others. */
  @ParameterizedTest
  @CsvSource({"CHAINED, 1", "CHAINED, 3", "CHAINED_UNALIGNED, 1"})
  void aFullJobIsStoppedWithASavepointAndGoesOnWithAnotherParallelism(
      InputShape shape,
      int parallelism,
      @InjectMiniCluster MiniCluster cluster,
      @InjectClusterClient ClusterClient<?> client)
      throws Exception {
    StreamExecutionEnvironment first =
        StreamExecutionEnvironment.getExecutionEnvironment(configuration(shape.unaligned));
    first.setParallelism(PARALLELISM);
    String savepoint;
    try (CloseableIterator<ImageEvent> results = pictures(first, shape).images().collectAsync()) {
      JobID job = first.executeAsync("before the savepoint").getJobID();
      awaitFull(job, PARALLELISM);
      client
          .triggerSavepoint(job, folder.toUri().toString(), SavepointFormatType.CANONICAL)
          .get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
      savepoint =
          client
              .stopWithSavepoint(
                  job, false, folder.toUri().toString(), SavepointFormatType.CANONICAL)
              .get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
      client.requestJobResult(job).get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
      assertThat(client.getJobStatus(job).get()).isEqualTo(JobStatus.FINISHED);
      assertThat(results).isExhausted();
    }
    assertThat(HeldPipelines.mostRunning()).isEqualTo(PARALLELISM * CAPACITY);

    StreamExecutionEnvironment second = from(savepoint, shape);
    second.setParallelism(parallelism);
    try (CloseableIterator<ImageEvent> results = pictures(second, shape).images().collectAsync()) {
      JobID job = second.executeAsync("after the savepoint").getJobID();
      await("all that were in flight work again")
          .atMost(PATIENCE)
          .until(() -> HeldPipelines.running() >= PARALLELISM * CAPACITY);
      if (parallelism < PARALLELISM) { // else the source of one has ended, which ends checkpoints
        new JobCheckpoints(cluster, job).awaitMore(CHECKPOINTS, PATIENCE);
      }
      HeldPipelines.letGo();
      results.forEachRemaining(images::add);
    }
    assertThat(HeldPipelines.mostRunning())
        .isLessThanOrEqualTo(CAPACITY * Math.max(PARALLELISM, parallelism));
    assertEveryRequestOnce();
  }

  @ParameterizedTest
  @CsvSource({"REBALANCED, 1", "REBALANCED, 3"})
  void anUnalignedCheckpointOfAFullJobGoesOnWithAnotherParallelism(
      InputShape shape,
      int parallelism,
      @InjectMiniCluster MiniCluster cluster,
      @InjectClusterClient ClusterClient<?> client)
      throws Exception {
    StreamExecutionEnvironment first =
        StreamExecutionEnvironment.getExecutionEnvironment(configuration(true));
    first.setParallelism(PARALLELISM);
    String checkpoint;
    try (CloseableIterator<ImageEvent> results = pictures(first, shape).images().collectAsync()) {
      JobID job = first.executeAsync("before the checkpoint").getJobID();
      awaitFull(job, PARALLELISM);
      new JobCheckpoints(cluster, job).awaitMore(CHECKPOINTS, PATIENCE);
      client.cancel(job).get();
      client.requestJobResult(job).get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
      CompletedCheckpointStats last = new JobCheckpoints(cluster, job).latest();
      assertThat(last.getPersistedData()).as("bytes that the barrier has overtaken").isPositive();
      checkpoint = last.getExternalPath();
    }
    HeldPipelines.letGo();
    StreamExecutionEnvironment second = from(checkpoint, shape);
    second.setParallelism(parallelism);
    try (CloseableIterator<ImageEvent> results = pictures(second, shape).images().collectAsync()) {
      second.executeAsync("after the checkpoint");
      results.forEachRemaining(images::add);
    }
    assertEveryRequestOnce();
  }

  @Test
  void aFullTaskIsBusyAndItsChainedSourceIsNotIdle(@InjectMiniCluster MiniCluster cluster)
      throws Exception {
    StatusSpy.SEEN.clear();
    Configuration config = configuration(false);
    config.set(PipelineOptions.AUTO_WATERMARK_INTERVAL, Duration.ofMillis(5));
    config.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(200));
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(config);
    env.setParallelism(1);
    DataStream<PromptEvent> prompts =
        env.fromSource(
            new DataGeneratorSource<>(number -> prompt(number.intValue()), PROMPTS, TYPE),
            WatermarkStrategy.<PromptEvent>forMonotonousTimestamps()
                .withTimestampAssigner((prompt, none) -> 1)
                .withIdleness(Duration.ofMillis(400)),
            "prompts");
    DataStream<ImageEvent> results =
        Diffusion.textToImage()
            .setPipeline(new HeldPipelines())
            .setCapacity(CAPACITY)
            .setBatchRows(64)
            .apply(prompts)
            .images()
            .transform("spy", new AvroTypeInfo<>(ImageEvent.class), new StatusSpy());
    try (CloseableIterator<ImageEvent> all = results.collectAsync()) {
      JobID job = env.executeAsync("busy").getJobID();
      awaitFull(job, 1);
      new JobCheckpoints(cluster, job)
          .awaitMore(
              CHECKPOINTS, PATIENCE); // takes several times as long as a source may be silent
      assertThat(isMeasuring(job, "idleTimeMsPerSecond")).isFalse();
      assertThat(isMeasuring(job, "softBackPressuredTimeMsPerSecond")).isFalse();
      assertThat(isMeasuring(job, "hardBackPressuredTimeMsPerSecond")).isFalse();
      HeldPipelines.letGo();
      all.forEachRemaining(images::add);
    }
    assertThat(StatusSpy.SEEN).doesNotContain(WatermarkStatus.IDLE);
    assertEveryRequestOnce();
  }

  /** Each has a gate before the same input, and the second is full more often than the first. */
  @Test
  void twoOperatorsInOneTaskLeaveEachOtherRoom() throws Exception {
    HeldPipelines.letGo();
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.getExecutionEnvironment(configuration(false));
    env.setParallelism(PARALLELISM);
    DataStream<PromptEvent> again =
        pictures(env, InputShape.CHAINED).images().map(new PromptOfImage()).returns(TYPE);
    DiffusionStreams second =
        Diffusion.textToImage()
            .setPipeline(new HeldPipelines())
            .setCapacity(1)
            .setBatchRows(64)
            .name("again")
            .apply(again);
    try (CloseableIterator<ImageEvent> results = second.images().collectAsync()) {
      env.executeAsync("two");
      results.forEachRemaining(images::add);
    }
    assertEveryRequestOnce();
  }

  /** Whether a subtask of the operator's task spends its time as this metric says, now. */
  private static boolean isMeasuring(JobID job, String metric) {
    Collection<Metric> gauges =
        METRICS.findTaskMetricGroups(job, "text to image").stream()
            .map(group -> METRICS.getMetricsByGroup(group).get(metric))
            .toList();
    assertThat(gauges).as(metric).isNotEmpty();
    return gauges.stream().anyMatch(gauge -> ((TimerGauge) gauge).isMeasuring());
  }

  private StreamExecutionEnvironment from(String checkpointOrSavepoint, InputShape shape) {
    Configuration config = configuration(shape.unaligned);
    config.set(StateRecoveryOptions.SAVEPOINT_PATH, checkpointOrSavepoint);
    // The collecting sink has no uid; it had nothing.
    config.set(StateRecoveryOptions.SAVEPOINT_IGNORE_UNCLAIMED_STATE, true);
    return StreamExecutionEnvironment.getExecutionEnvironment(config);
  }

  private static void awaitFull(JobID job, int subtasks) {
    await("all subtasks are full")
        .atMost(PATIENCE)
        .until(() -> HeldPipelines.running() == subtasks * CAPACITY && inFlight(job, subtasks));
  }

  /** By the operator's own metric; an attempt that has ended has none any more. */
  private static boolean inFlight(JobID job, int subtasks) {
    List<Integer> values =
        METRICS.findOperatorMetricGroups(job, "text to image").stream()
            .map(group -> ((Gauge<?>) METRICS.getMetricsByGroup(group).get("inFlight")))
            .filter(Objects::nonNull) // its task registers it now
            .map(gauge -> (Integer) gauge.getValue())
            .toList();
    return values.size() >= subtasks
        && values.stream().filter(value -> value == CAPACITY).count() >= subtasks;
  }

  private void assertEveryRequestOnce() {
    assertThat(images)
        .extracting(ImageEvent::getId)
        .containsExactlyInAnyOrderElementsOf(
            IntStream.range(0, PROMPTS).mapToObj(number -> "r" + number).toList());
    for (ImageEvent image : images) {
      assertThat(image.getImage().array())
          .as(image.getId())
          .isEqualTo(undisturbed(prompt(Integer.parseInt(image.getId().substring(1)))));
    }
  }

  private static final class PromptOfImage implements MapFunction<ImageEvent, PromptEvent> {
    private static final long serialVersionUID = 1L;

    @Override
    public PromptEvent map(ImageEvent image) {
      return prompt(Integer.parseInt(image.getId().substring(1)));
    }
  }

  private static final class StatusSpy extends AbstractStreamOperator<ImageEvent>
      implements OneInputStreamOperator<ImageEvent, ImageEvent> {
    private static final long serialVersionUID = 1L;
    static final Queue<WatermarkStatus> SEEN = new ConcurrentLinkedQueue<>();

    @Override
    public void processElement(StreamRecord<ImageEvent> image) {
      output.collect(image);
    }

    @Override
    public void processWatermarkStatus(WatermarkStatus status) throws Exception {
      SEEN.add(status);
      super.processWatermarkStatus(status);
    }
  }
}
