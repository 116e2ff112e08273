/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.FullOperatorITCase.CAPACITY;
import static io.github.flinkdiffusion.ops.operator.FullOperatorITCase.PROMPTS;
import static io.github.flinkdiffusion.ops.operator.FullOperatorITCase.prompt;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.fakes.HeldPipelines;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.client.program.ClusterClient;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.runtime.client.JobStatusMessage;
import org.apache.flink.runtime.execution.ExecutionState;
import org.apache.flink.runtime.executiongraph.AccessExecutionVertex;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
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
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Cancellations in a real cluster, while the operator is full and its requests do not get done. */
@Timeout(120) // a job that hangs must not hang the build
class CancellationITCase {
  private static final int PARALLELISM = 2;
  private static final Duration PATIENCE = Duration.ofSeconds(60);

  /** Sent first, and read last. */
  private static final String LAST = "r" + (PROMPTS - 1);

  /** Which id is cancelled next, again and again; the cluster is in this process. */
  private static volatile String cancelled;

  /** The task that relays cancellations fails at its next one, and nothing else does. */
  private static volatile boolean relayBreaks;

  /** Whether the last request's cancellation was sent, which must come before that of another. */
  private static volatile boolean lastIsSent;

  @RegisterExtension
  static final MiniClusterExtension CLUSTER =
      new MiniClusterExtension(
          new MiniClusterResourceConfiguration.Builder()
              .setNumberTaskManagers(1)
              .setNumberSlotsPerTaskManager(4)
              .build());

  /** Part of the name of the task that relays. */
  private static final Predicate<String> RELAY = name -> name.contains(": cancellations");

  private static final Predicate<String> OPERATOR =
      RELAY.negate().and(name -> name.contains("text to image"));

  @TempDir Path folder;

  private MiniCluster cluster;

  private final List<ImageEvent> images = new ArrayList<>();
  private final List<FailureEvent> failures = new ArrayList<>();

  @BeforeEach
  void hold(@InjectMiniCluster MiniCluster injected) {
    cluster = injected;
    HeldPipelines.hold();
    cancelled = LAST;
    relayBreaks = false;
    lastIsSent = false;
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

  private Configuration configuration(boolean unaligned) {
    Configuration config = new Configuration();
    config.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(20));
    config.set(CheckpointingOptions.ENABLE_UNALIGNED, unaligned);
    config.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, folder.toUri().toString());
    config.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
    config.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, 1);
    config.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, Duration.ZERO);
    return config;
  }

  /** Of parallelism 2, so that cancellations come from two subtasks to the one that relays them. */
  private static DataStream<CancelEvent> cancellations(StreamExecutionEnvironment env) {
    return env.fromSource(
            new DataGeneratorSource<>(
                number -> CancelEvent.newBuilder().setId(cancelled).build(),
                Long.MAX_VALUE,
                RateLimiterStrategy.perSecond(40),
                new AvroTypeInfo<>(CancelEvent.class)),
            WatermarkStrategy.<CancelEvent>forMonotonousTimestamps()
                .withTimestampAssigner((cancel, none) -> 2),
            "cancellations")
        .uid("cancellations")
        .map(CancellationITCase::orBreak)
        .returns(new AvroTypeInfo<>(CancelEvent.class))
        .uid("breaks")
        .setParallelism(1); // so it is chained to the relay
  }

  private static CancelEvent orBreak(CancelEvent event) {
    if (relayBreaks) {
      relayBreaks = false;
      throw new IllegalStateException("The relay's task breaks, once.");
    }
    lastIsSent |= event.getId().equals(LAST);
    return event;
  }

  private static DiffusionStreams pictures(StreamExecutionEnvironment env, InputShape shape) {
    DataStream<PromptEvent> prompts =
        env.fromSource(
                new DataGeneratorSource<>(
                    number -> prompt(number.intValue()), PROMPTS, FullOperatorITCase.TYPE),
                // A watermark among requests would hold back the results of those behind it.
                WatermarkStrategy.<PromptEvent>noWatermarks()
                    .withTimestampAssigner((prompt, none) -> 1),
                "prompts")
            .uid("prompts");
    return Diffusion.textToImage()
        .setPipeline(new HeldPipelines())
        .setCapacity(CAPACITY)
        .setBatchRows(64)
        .uid("pictures")
        .setCancellations(cancellations(env))
        .apply(shape.in(prompts));
  }

  @ParameterizedTest
  @EnumSource(names = {"CHAINED", "REBALANCED"})
  void aRequestInFlightIsTakenBackWhileTheOperatorIsFullAndOneToComeAfterAFailure(
      InputShape shape, @InjectClusterClient ClusterClient<?> client) throws Exception {
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.getExecutionEnvironment(configuration(shape.unaligned));
    env.setParallelism(PARALLELISM);
    DiffusionStreams streams = pictures(env, shape);
    try (CloseableIterator<ImageEvent> imageResults = streams.images().collectAsync();
        CloseableIterator<FailureEvent> failureResults = streams.failures().collectAsync()) {
      JobID job = env.executeAsync("cancellations").getJobID();
      String inFlight = takeBackOneInFlight(failureResults);

      HeldPipelines.breakOnce();
      await("the failure").atMost(PATIENCE).until(HeldPipelines::hasBroken);
      HeldPipelines.letGo();
      takeAll(client, job, imageResults, failureResults, 2);
      assertAllAreAnsweredOnce(inFlight);
    }
  }

  /** Its task is connected to no other, so Flink restarts it alone. */
  @Test
  void theRelayAloneFailsWhileTheOperatorIsFullAndGoesOnRelaying(
      @InjectClusterClient ClusterClient<?> client) throws Exception {
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.getExecutionEnvironment(configuration(false));
    env.setParallelism(PARALLELISM);
    DiffusionStreams streams = pictures(env, InputShape.CHAINED);
    try (CloseableIterator<ImageEvent> imageResults = streams.images().collectAsync();
        CloseableIterator<FailureEvent> failureResults = streams.failures().collectAsync()) {
      JobID job = env.executeAsync("relay").getJobID();
      String before = takeBackOneInFlight(failureResults);

      relayBreaks = true;
      await("the relay runs again")
          .atMost(PATIENCE)
          .until(
              () ->
                  attempts(job, RELAY).equals(Set.of(1))
                      && states(job, RELAY).equals(Set.of(ExecutionState.RUNNING)));
      String after = HeldPipelines.runningBut(before);
      cancelled = after;
      failures.add(next(failureResults));
      assertThat(attempts(job, OPERATOR)).as("attempts of the operator").isEqualTo(Set.of(0));
      assertThat(HeldPipelines.finished()).as("while it is full").isZero();

      HeldPipelines.letGo();
      takeAll(client, job, imageResults, failureResults, 3);
      assertAllAreAnsweredOnce(before, after);
    }
  }

  private Set<Integer> attempts(JobID job, Predicate<String> task) throws Exception {
    return tasks(job, task)
        .map(vertex -> vertex.getCurrentExecutionAttempt().getAttemptNumber())
        .collect(Collectors.toSet());
  }

  private Set<ExecutionState> states(JobID job, Predicate<String> task) throws Exception {
    return tasks(job, task)
        .map(AccessExecutionVertex::getExecutionState)
        .collect(Collectors.toSet());
  }

  private Stream<? extends AccessExecutionVertex> tasks(JobID job, Predicate<String> named)
      throws Exception {
    return StreamSupport.stream(
            cluster.getExecutionGraph(job).get().getAllExecutionVertices().spliterator(), false)
        .filter(vertex -> named.test(vertex.getTaskNameWithSubtaskIndex()));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3})
  void aSavepointOfAFullJobKnowsThemForAnyParallelism(
      int parallelism, @InjectClusterClient ClusterClient<?> client) throws Exception {
    InputShape shape = InputShape.CHAINED;
    StreamExecutionEnvironment first =
        StreamExecutionEnvironment.getExecutionEnvironment(configuration(false));
    first.setParallelism(PARALLELISM);
    DiffusionStreams before = pictures(first, shape);
    String savepoint;
    String inFlight;
    try (CloseableIterator<ImageEvent> imageResults = before.images().collectAsync();
        CloseableIterator<FailureEvent> failureResults = before.failures().collectAsync()) {
      JobID job = first.executeAsync("before the savepoint").getJobID();
      inFlight = takeBackOneInFlight(failureResults);
      savepoint =
          client
              .stopWithSavepoint(
                  job, false, folder.toUri().toString(), SavepointFormatType.CANONICAL)
              .get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
      assertThat(imageResults).isExhausted();
    }

    cancelled = "nobody";
    Configuration resumed = configuration(false);
    resumed.set(StateRecoveryOptions.SAVEPOINT_PATH, savepoint);
    // The collecting sinks have no uid; what they had is in the lists already.
    resumed.set(StateRecoveryOptions.SAVEPOINT_IGNORE_UNCLAIMED_STATE, true);
    StreamExecutionEnvironment second = StreamExecutionEnvironment.getExecutionEnvironment(resumed);
    second.setParallelism(parallelism);
    DiffusionStreams after = pictures(second, shape);
    HeldPipelines.letGo();
    try (CloseableIterator<ImageEvent> imageResults = after.images().collectAsync();
        CloseableIterator<FailureEvent> failureResults = after.failures().collectAsync()) {
      JobID job = second.executeAsync("after the savepoint").getJobID();
      takeAll(client, job, imageResults, failureResults, 2);
    }
    assertAllAreAnsweredOnce(inFlight);
  }

  /**
   * @return id of the request, whose failure has been committed by a checkpoint
   */
  private String takeBackOneInFlight(CloseableIterator<FailureEvent> results) throws Exception {
    await("all subtasks are full")
        .atMost(PATIENCE)
        .until(() -> HeldPipelines.running() == PARALLELISM * CAPACITY && lastIsSent);
    String id = HeldPipelines.anyRunning();
    cancelled = id;
    failures.add(next(results));
    return id;
  }

  /** In a thread of its own: the iterator waits for ever, whoever interrupts it. */
  private static FailureEvent next(CloseableIterator<FailureEvent> results) throws Exception {
    return CompletableFuture.supplyAsync(results::next).get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
  }

  /**
   * Cancellations could still come, so the job ends when it is told to.
   *
   * @param takenBack requests that get no image
   */
  private void takeAll(
      ClusterClient<?> client,
      JobID job,
      CloseableIterator<ImageEvent> imageResults,
      CloseableIterator<FailureEvent> failureResults,
      int takenBack)
      throws Exception {
    await("all others have an image")
        .atMost(PATIENCE)
        .until(() -> HeldPipelines.finished() == PROMPTS - takenBack);
    // A task that ends while its savepoint begins would make that fail.
    await("the other tasks have ended").atMost(PATIENCE).until(() -> othersHaveEnded(job));
    client
        .stopWithSavepoint(job, true, folder.toUri().toString(), SavepointFormatType.CANONICAL)
        .get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
    imageResults.forEachRemaining(images::add);
    failureResults.forEachRemaining(failures::add);
  }

  private boolean othersHaveEnded(JobID job) throws Exception {
    for (AccessExecutionVertex task :
        cluster.getExecutionGraph(job).get().getAllExecutionVertices()) {
      if (!task.getTaskNameWithSubtaskIndex().contains("cancellations")
          && task.getExecutionState() != ExecutionState.FINISHED) {
        return false;
      }
    }
    return true;
  }

  private void assertAllAreAnsweredOnce(String... inFlight) {
    Set<String> takenBack = new HashSet<>(Set.of(inFlight));
    takenBack.add(LAST);
    assertThat(failures)
        .allMatch(failure -> failure.getReason() == FailureReason.CANCELLED)
        .extracting(FailureEvent::getId)
        .containsExactlyInAnyOrderElementsOf(takenBack);
    assertThat(images)
        .extracting(ImageEvent::getId)
        .containsExactlyInAnyOrderElementsOf(
            IntStream.range(0, PROMPTS)
                .mapToObj(number -> "r" + number)
                .filter(id -> !takenBack.contains(id))
                .toList());
  }
}
