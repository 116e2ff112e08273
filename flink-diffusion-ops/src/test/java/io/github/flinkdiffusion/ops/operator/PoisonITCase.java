/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.fakes.FakePipeline;
import io.github.flinkdiffusion.ops.fakes.OpenedBy;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.util.CloseableIterator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** One request among twenty breaks the device whenever it is on it. */
@Timeout(120) // a job that hangs must not hang the build
class PoisonITCase {
  private static final int GOOD = 20;
  private static final String BAD = "r7";

  @RegisterExtension
  static final MiniClusterExtension CLUSTER =
      new MiniClusterExtension(
          new MiniClusterResourceConfiguration.Builder()
              .setNumberTaskManagers(1)
              .setNumberSlotsPerTaskManager(2)
              .build());

  private static final AtomicInteger OPENED = new AtomicInteger();

  @TempDir Path folder;

  @Test
  void aRequestThatBreaksTheDeviceIsFoundAndAllOthersAreAnswered() throws Exception {
    OPENED.set(0);
    Configuration config = new Configuration();
    config.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(50));
    config.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, folder.toUri().toString());
    config.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
    config.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, 50);
    config.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, Duration.ofMillis(10));
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(config);
    env.setParallelism(1);
    DataStream<PromptEvent> prompts =
        env.fromSource(
            new DataGeneratorSource<>(
                number -> Subtask.prompt("r" + number, 3),
                GOOD + 1,
                new AvroTypeInfo<>(PromptEvent.class)),
            WatermarkStrategy.noWatermarks(),
            "prompts");
    DiffusionStreams streams =
        Diffusion.textToImage()
            .setPipeline(new OpenedBy("breaking", PoisonITCase::breaking))
            .setCapacity(GOOD + 1)
            .setBatchRows(GOOD + 1)
            .apply(prompts);
    List<ImageEvent> images = new ArrayList<>();
    List<FailureEvent> failures = new ArrayList<>();
    try (CloseableIterator<ImageEvent> imageResults = streams.images().collectAsync();
        CloseableIterator<FailureEvent> failureResults = streams.failures().collectAsync()) {
      env.executeAsync("poison");
      imageResults.forEachRemaining(images::add);
      failureResults.forEachRemaining(failures::add);
    }

    assertThat(failures)
        .extracting(FailureEvent::getId, FailureEvent::getReason)
        .containsExactly(tuple(BAD, FailureReason.POISON));
    assertThat(failures.get(0).getOriginal().remaining()).isPositive();
    assertThat(images)
        .extracting(ImageEvent::getId)
        .containsExactlyInAnyOrderElementsOf(
            IntStream.rangeClosed(0, GOOD)
                .mapToObj(number -> "r" + number)
                .filter(id -> !id.equals(BAD))
                .toList());
    int halvings = 5; // 21 requests
    assertThat(OPENED.get() - 1).as("restarts").isBetween(3, halvings + 3);
  }

  private static FakePipeline breaking() {
    OPENED.incrementAndGet();
    FakePipeline pipeline = new FakePipeline();
    pipeline.deviceErrors.add(BAD + "@1");
    return pipeline;
  }
}
