/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.undisturbed;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.fakes.FakePipeline;
import io.github.flinkdiffusion.ops.fakes.OpenedBy;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.client.program.ClusterClient;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.metrics.Counter;
import org.apache.flink.runtime.testutils.InMemoryReporter;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.test.junit5.InjectClusterClient;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.traces.Span;
import org.apache.flink.util.CloseableIterator;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/**
 * The operator in a real cluster, where a device breaks after a checkpoint that holds trajectories
 * in mid-flight, and where a job is stopped with a savepoint and goes on with another parallelism.
 */
@Timeout(180) // a job that hangs must not hang the build
class RecoveryITCase {
  private static final int PROMPTS = 200;
  private static final int PER_CHECKPOINT = 50;

  /** Keeps the metrics of attempts that have ended. */
  private static final InMemoryReporter METRICS = InMemoryReporter.createWithRetainedMetrics();

  @RegisterExtension
  static final MiniClusterExtension CLUSTER =
      new MiniClusterExtension(
          new MiniClusterResourceConfiguration.Builder()
              .setConfiguration(KeptSpans.addTo(METRICS.addToConfiguration(new Configuration())))
              .setNumberTaskManagers(1)
              .setNumberSlotsPerTaskManager(4)
              .build());

  @TempDir Path folder;

  @BeforeEach
  void reset() {
    RecoveryScenario.reset();
    KeptSpans.clear();
  }

  @AfterEach
  void modelsAreFreed() {
    Awaitility.await()
        .untilAsserted(
            () ->
                assertThat(RecoveryScenario.OPENED)
                    .isNotEmpty()
                    .allMatch(pipeline -> pipeline.closed));
  }

  private Configuration configuration() {
    Configuration config = new Configuration();
    config.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(20));
    config.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, folder.toUri().toString());
    config.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
    config.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, 2);
    config.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, Duration.ZERO);
    return config;
  }

  /** Prompts that come in four portions, each after a checkpoint has been completed. */
  private static DataStream<PromptEvent> prompts(StreamExecutionEnvironment env) {
    return env.fromSource(
            new DataGeneratorSource<>(
                number -> prompt(number.intValue()),
                PROMPTS,
                RateLimiterStrategy.perCheckpoint(PER_CHECKPOINT),
                new AvroTypeInfo<>(PromptEvent.class)),
            WatermarkStrategy.noWatermarks(),
            "prompts")
        .uid("prompts")
        .map(new CheckpointSpy())
        .returns(new AvroTypeInfo<>(PromptEvent.class));
  }

  private static PromptEvent prompt(int number) {
    PromptEvent prompt = Subtask.prompt("r" + number, 1 + number % 9);
    if (isInvalid(number)) {
      prompt.setSteps(0);
    }
    return prompt;
  }

  private static boolean isInvalid(int number) {
    return number % 25 == 24;
  }

  private static DiffusionStreams pictures(StreamExecutionEnvironment env) {
    return Diffusion.textToImage()
        .setPipeline(new OpenedBy("fake", RecoveryScenario::open))
        .setCapacity(PROMPTS)
        .setBatchRows(4)
        .setOption(DiffusionOptions.DEVICE_KEEP_MODEL, Duration.ZERO) // each job opens its own
        .uid("pictures")
        .apply(prompts(env));
  }

  @Test
  void afterAFailureOfTheDeviceEveryRequestIsDoneOnceAndThePicturesAreEqual() throws Exception {
    RecoveryScenario.failAfterCheckpoint = true;
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.getExecutionEnvironment(configuration());
    env.setParallelism(2);
    DiffusionStreams streams = pictures(env);
    List<ImageEvent> images = new ArrayList<>();
    List<FailureEvent> failures = new ArrayList<>();
    JobID job;
    try (CloseableIterator<ImageEvent> imageResults = streams.images().collectAsync();
        CloseableIterator<FailureEvent> failureResults = streams.failures().collectAsync()) {
      job = env.executeAsync("recovery").getJobID();
      imageResults.forEachRemaining(images::add);
      failureResults.forEachRemaining(failures::add);
    }

    assertThat(RecoveryScenario.failed).isTrue();
    assertThat(RecoveryScenario.calls()).anyMatch(call -> call.startsWith("restore["));
    assertEveryRequestOnce(images, failures);
    assertEveryRequestHasASpan();
    // Both subtasks were on one model each time: one before the failure, one after it.
    assertThat(RecoveryScenario.OPENED).hasSize(2);
    // A held trajectory's step is told to the operator again and again without having been made.
    assertThat(redoneSteps(job) - RecoveryScenario.HELD_STEPS.get())
        .isEqualTo(stepsOfBoth(RecoveryScenario.OPENED.get(0), RecoveryScenario.OPENED.get(1)));
  }

  /** One that was emitted before the failure and again after it has two. */
  private static void assertEveryRequestHasASpan() {
    Map<String, String> outcomes = new HashMap<>();
    for (Span span : KeptSpans.all()) {
      assertThat(span.getStartTsMillis()).isBetween(1L, span.getEndTsMillis());
      outcomes.put(
          (String) span.getAttributes().get(RequestSpan.ID),
          (String) span.getAttributes().get(RequestSpan.OUTCOME));
    }
    assertThat(outcomes)
        .isEqualTo(
            IntStream.range(0, PROMPTS)
                .boxed()
                .collect(
                    Collectors.toMap(
                        number -> "r" + number,
                        number -> isInvalid(number) ? "INVALID_REQUEST" : "image")));
  }

  /** As the operator's subtasks counted them, in all attempts. */
  private static long redoneSteps(JobID job) {
    return METRICS.findOperatorMetricGroups(job, "text to image").stream()
        .map(group -> (Counter) METRICS.getMetricsByGroup(group).get("redoneSteps"))
        .mapToLong(Counter::getCount)
        .sum();
  }

  /** How many steps of a request both pipelines made. */
  private static int stepsOfBoth(FakePipeline one, FakePipeline two) {
    Set<String> both = steps(one);
    both.retainAll(steps(two));
    return both.size();
  }

  private static Set<String> steps(FakePipeline pipeline) {
    return pipeline.calls.stream()
        .filter(call -> call.startsWith("step["))
        .flatMap(call -> Stream.of(call.substring("step[".length(), call.length() - 1).split(", ")))
        .collect(Collectors.toCollection(HashSet::new));
  }

  @Test
  void aJobStoppedWithASavepointGoesOnWithAnotherParallelism(
      @InjectClusterClient ClusterClient<?> client) throws Exception {
    RecoveryScenario.holdTrajectories = true;
    StreamExecutionEnvironment first =
        StreamExecutionEnvironment.getExecutionEnvironment(configuration());
    first.setParallelism(2);
    DiffusionStreams before = pictures(first);
    List<ImageEvent> images = new ArrayList<>();
    List<FailureEvent> failures = new ArrayList<>();
    String savepoint;
    try (CloseableIterator<ImageEvent> imageResults = before.images().collectAsync();
        CloseableIterator<FailureEvent> failureResults = before.failures().collectAsync()) {
      JobClient job = first.executeAsync("before the savepoint");
      RecoveryScenario.checkpointWithTrajectories.await();
      // What ends after the savepoint would be put out by both jobs: this sink has no transactions.
      RecoveryScenario.frozen = true;
      savepoint =
          client
              .stopWithSavepoint(
                  job.getJobID(), false, folder.toUri().toString(), SavepointFormatType.CANONICAL)
              .get();
      imageResults.forEachRemaining(images::add);
      failureResults.forEachRemaining(failures::add);
      awaitEnd(client, job.getJobID());
    }
    assertThat(images).hasSizeLessThan(PROMPTS - PROMPTS / 25);

    RecoveryScenario.holdTrajectories = false;
    RecoveryScenario.frozen = false;
    Configuration resumed = configuration();
    resumed.set(StateRecoveryOptions.SAVEPOINT_PATH, savepoint);
    // The collecting sinks have no uid; what they had is in the lists already.
    resumed.set(StateRecoveryOptions.SAVEPOINT_IGNORE_UNCLAIMED_STATE, true);
    StreamExecutionEnvironment second = StreamExecutionEnvironment.getExecutionEnvironment(resumed);
    second.setParallelism(3);
    DiffusionStreams after = pictures(second);
    try (CloseableIterator<ImageEvent> imageResults = after.images().collectAsync();
        CloseableIterator<FailureEvent> failureResults = after.failures().collectAsync()) {
      second.executeAsync("after the savepoint");
      imageResults.forEachRemaining(images::add);
      failureResults.forEachRemaining(failures::add);
    }

    assertThat(RecoveryScenario.calls()).anyMatch(call -> call.startsWith("restore["));
    assertEveryRequestOnce(images, failures);
  }

  @Test
  void cancelledRequestsEndAsFailuresWhetherTheyAreInFlightOrStillToCome() throws Exception {
    List<String> cancelled =
        IntStream.range(0, 60)
            .filter(number -> number % 9 > 2 && !isInvalid(number)) // more than three steps
            .mapToObj(number -> "r" + number)
            .toList();
    RecoveryScenario.STUCK.addAll(cancelled);
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.getExecutionEnvironment(configuration());
    env.setParallelism(2);
    DataStream<CancelEvent> cancellations =
        env.fromData(
                new AvroTypeInfo<>(CancelEvent.class),
                cancelled.stream()
                    .map(id -> CancelEvent.newBuilder().setId(id).build())
                    .toArray(CancelEvent[]::new))
            .assignTimestampsAndWatermarks(
                WatermarkStrategy.<CancelEvent>forMonotonousTimestamps()
                    .withTimestampAssigner((cancel, none) -> 2));
    DiffusionStreams streams =
        Diffusion.textToImage()
            .setPipeline(new OpenedBy("fake", RecoveryScenario::open))
            .setCapacity(PROMPTS)
            .setBatchRows(4)
            .setOption(DiffusionOptions.DEVICE_KEEP_MODEL, Duration.ZERO)
            .setCancellations(cancellations)
            .apply(
                prompts(env)
                    .assignTimestampsAndWatermarks(
                        WatermarkStrategy.<PromptEvent>forMonotonousTimestamps()
                            .withTimestampAssigner((prompt, none) -> 1)));
    List<ImageEvent> images = new ArrayList<>();
    List<FailureEvent> failures = new ArrayList<>();
    try (CloseableIterator<ImageEvent> imageResults = streams.images().collectAsync();
        CloseableIterator<FailureEvent> failureResults = streams.failures().collectAsync()) {
      env.executeAsync("cancellations");
      imageResults.forEachRemaining(images::add);
      failureResults.forEachRemaining(failures::add);
    }

    assertThat(failures)
        .filteredOn(RecoveryITCase::isCancelled)
        .extracting(FailureEvent::getId)
        .containsExactlyInAnyOrderElementsOf(cancelled);
    assertThat(images)
        .hasSize(PROMPTS - failures.size())
        .extracting(ImageEvent::getId)
        .doesNotHaveDuplicates()
        .doesNotContainAnyElementsOf(cancelled);
    assertThat(failures).hasSize(cancelled.size() + PROMPTS / 25);
  }

  @Test
  void aJobIsCancelledDuringACallAndTheNextOneGetsTheDeviceWhenItIsFree(
      @InjectClusterClient ClusterClient<?> client) throws Exception {
    RecoveryScenario.inCall = new CountDownLatch(1);
    RecoveryScenario.callMayEnd = new CountDownLatch(1);
    StreamExecutionEnvironment first =
        StreamExecutionEnvironment.getExecutionEnvironment(configuration());
    first.setParallelism(2);
    pictures(first).images().sinkTo(new DiscardingSink<>());
    JobClient job = first.executeAsync("cancelled during a call");
    RecoveryScenario.inCall.await();
    job.cancel().get();
    client.requestJobResult(job.getJobID()).get();

    assertThat(client.getJobStatus(job.getJobID()).get()).isEqualTo(JobStatus.CANCELED);
    assertThat(RecoveryScenario.OPENED)
        .as("the device is at the call")
        .noneMatch(fake -> fake.closed);
    StreamExecutionEnvironment second =
        StreamExecutionEnvironment.getExecutionEnvironment(configuration());
    second.setParallelism(2);
    DiffusionStreams streams = pictures(second);
    List<ImageEvent> images = new ArrayList<>();
    List<FailureEvent> failures = new ArrayList<>();
    try (CloseableIterator<ImageEvent> imageResults = streams.images().collectAsync();
        CloseableIterator<FailureEvent> failureResults = streams.failures().collectAsync()) {
      second.executeAsync("waits for the device");
      RecoveryScenario.callMayEnd.countDown();
      imageResults.forEachRemaining(images::add);
      failureResults.forEachRemaining(failures::add);
    }

    assertEveryRequestOnce(images, failures);
    assertThat(RecoveryScenario.OPENED).hasSize(2);
  }

  private static boolean isCancelled(FailureEvent failure) {
    return failure.getReason() == FailureReason.CANCELLED;
  }

  private static void awaitEnd(ClusterClient<?> client, JobID job) throws Exception {
    client.requestJobResult(job).get();
    assertThat(client.getJobStatus(job).get()).isEqualTo(JobStatus.FINISHED);
  }

  private static void assertEveryRequestOnce(List<ImageEvent> images, List<FailureEvent> failures) {
    Map<Boolean, List<String>> expected =
        IntStream.range(0, PROMPTS)
            .boxed()
            .collect(
                Collectors.partitioningBy(
                    RecoveryITCase::isInvalid,
                    Collectors.mapping(number -> "r" + number, Collectors.toList())));
    assertThat(images)
        .extracting(ImageEvent::getId)
        .containsExactlyInAnyOrderElementsOf(expected.get(false));
    assertThat(failures)
        .extracting(FailureEvent::getId)
        .containsExactlyInAnyOrderElementsOf(expected.get(true));
    Map<String, byte[]> undisturbed = new HashMap<>();
    for (String id : expected.get(false)) {
      undisturbed.put(id, undisturbed(prompt(Integer.parseInt(id.substring(1)))));
    }
    for (ImageEvent image : images) {
      assertThat(image.getImage().array())
          .as(image.getId())
          .isEqualTo(undisturbed.get(image.getId()));
    }
  }

  private static final class CheckpointSpy extends RichMapFunction<PromptEvent, PromptEvent>
      implements CheckpointListener {
    private static final long serialVersionUID = 1L;

    @Override
    public PromptEvent map(PromptEvent prompt) {
      return prompt;
    }

    @Override
    public void notifyCheckpointComplete(long checkpointId) {
      RecoveryScenario.checkpointCompleted(checkpointId);
    }
  }
}
