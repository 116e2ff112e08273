/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.undisturbed;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.fakes.FakePipeline;
import io.github.flinkdiffusion.ops.fakes.ForwardingPipeline;
import io.github.flinkdiffusion.ops.fakes.OpenedBy;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.IntStream;
import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.runtime.checkpoint.CheckpointStatsSnapshot;
import org.apache.flink.runtime.checkpoint.CompletedCheckpointStats;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.InjectMiniCluster;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.util.CloseableIterator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/**
 * Unaligned checkpoints under back-pressure: a barrier overtakes the prompts that wait in front of
 * the operator, and they are part of the checkpoint beside the requests in flight.
 */
@Timeout(180) // a job that hangs must not hang the build
class UnalignedCheckpointITCase {
  private static final int PROMPTS = 400;
  private static final int PARALLELISM = 2;
  private static final Duration PATIENCE = Duration.ofSeconds(120);

  /** Makes a prompt large, so that few fill the buffers between two tasks. */
  private static final String PADDING = "x".repeat(2000);

  @RegisterExtension
  static final MiniClusterExtension CLUSTER =
      new MiniClusterExtension(
          new MiniClusterResourceConfiguration.Builder()
              .setNumberTaskManagers(1)
              .setNumberSlotsPerTaskManager(PARALLELISM)
              .build());

  /** Static, because the cluster is in this process and the job is serialized. */
  private static volatile boolean breaks;

  private static PromptEvent prompt(int number) {
    PromptEvent prompt = Subtask.prompt("r" + number, 1 + number % 5);
    prompt.setNegativePrompt(PADDING);
    return prompt;
  }

  @Test
  void whatABarrierHasOvertakenIsDoneOnceAfterAFailure(
      @InjectMiniCluster MiniCluster cluster, @TempDir Path folder) throws Exception {
    breaks = false;
    Configuration config = new Configuration();
    config.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(20));
    config.set(CheckpointingOptions.ENABLE_UNALIGNED, true);
    config.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, folder.toUri().toString());
    config.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
    config.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, 1);
    config.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, Duration.ZERO);
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(config);
    env.setParallelism(PARALLELISM);
    DiffusionStreams streams =
        Diffusion.textToImage()
            .setPipeline(new OpenedBy("slow", SlowPipeline::new))
            .setCapacity(4)
            .setBatchRows(2)
            .uid("pictures")
            .apply(
                env.fromSource(
                        new DataGeneratorSource<>(
                            number -> prompt(number.intValue()),
                            PROMPTS,
                            new AvroTypeInfo<>(PromptEvent.class)),
                        WatermarkStrategy.noWatermarks(),
                        "prompts")
                    .uid("prompts")
                    // Without it, the operator is chained to the source, and nothing is in between.
                    .rebalance());
    List<ImageEvent> images = new ArrayList<>();
    try (CloseableIterator<ImageEvent> results = streams.images().collectAsync()) {
      JobID job = env.executeAsync("unaligned").getJobID();
      await("a checkpoint with prompts that its barrier has overtaken")
          .atMost(PATIENCE)
          .until(() -> hasOvertaken(cluster, job));
      breaks = true;
      results.forEachRemaining(images::add);
    }

    assertThat(breaks).as("broke, and was reset by it").isFalse();
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

  private static boolean hasOvertaken(MiniCluster cluster, JobID job) throws Exception {
    CheckpointStatsSnapshot checkpoints =
        cluster.getExecutionGraph(job).get().getCheckpointStatsSnapshot();
    CompletedCheckpointStats last = checkpoints.getHistory().getLatestCompletedCheckpoint();
    return last != null && last.isUnalignedCheckpoint() && last.getPersistedData() > 0;
  }

  /** As slow as is needed for prompts to queue up, and breaks once when told. */
  private static final class SlowPipeline extends ForwardingPipeline {
    private static final Duration STEP = Duration.ofMillis(2);

    SlowPipeline() {
      super(new FakePipeline());
    }

    @Override
    public void step(List<Trajectory> batch) {
      if (breaks) {
        breaks = false;
        throw new IllegalStateException("The device broke, as planned.");
      }
      LockSupport.parkNanos(STEP.toNanos());
      super.step(batch);
    }
  }
}
