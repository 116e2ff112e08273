/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.kafka.Decoded;
import io.github.flinkdiffusion.connector.kafka.DiffusionSinks;
import io.github.flinkdiffusion.connector.kafka.DiffusionSources;
import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.ops.operator.Diffusion;
import io.github.flinkdiffusion.ops.operator.DiffusionStreams;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * A job for prompts and image tasks that may not restart, in a process whose heap {@link
 * BadRequestsITCase} bounds. Its end, and so the process's, is the failure of the test.
 */
final class BadRequestsProgram {
  private static final Path MODELS =
      Path.of("../../flink-diffusion-ops/src/test/resources/fixtures/models").toAbsolutePath();

  private BadRequestsProgram() {}

  /**
   * @param args the broker, and a folder with the images that tasks may name
   */
  public static void main(String[] args) throws Exception {
    Path folder = Path.of(args[1]);
    Configuration configuration =
        new Configuration()
            .set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(500))
            .set(RestartStrategyOptions.RESTART_STRATEGY, "none")
            .set(PipelineOptions.GENERIC_TYPES, false)
            .set(KafkaOptions.BOOTSTRAP_SERVERS, args[0])
            .set(KafkaOptions.TRANSACTIONAL_ID_PREFIX, "bad-requests")
            .set(PayloadOptions.ALLOWED_PREFIXES, List.of(folder.toUri().toString()))
            .set(DiffusionOptions.DEFAULT_STEPS, 2)
            .set(DiffusionOptions.BATCH_ROWS, 8)
            .set(DiffusionOptions.DEVICE, "cpu");
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.createLocalEnvironment(1, configuration);
    Decoded.Split<PromptEvent> prompts =
        Decoded.split(
            env.fromSource(
                DiffusionSources.prompts().setTopics("prompts").build(env),
                WatermarkStrategy.noWatermarks(),
                "prompts"));
    Decoded.Split<ImageTaskEvent> tasks =
        Decoded.split(
            env.fromSource(
                DiffusionSources.imageTasks().setTopics("tasks").build(env),
                WatermarkStrategy.noWatermarks(),
                "tasks"));
    DiffusionStreams drawn =
        Diffusion.textToImage()
            .setModel(MODELS.resolve("tiny-sd1").toString())
            .setDefaultScheduler("DDIMScheduler")
            .setDefaultSize(32, 32)
            .uid("draw")
            .apply(prompts.events());
    DiffusionStreams enlarged =
        Diffusion.imageTasks()
            .setModel(MODELS.resolve("tiny-ldm-super-resolution").toString())
            .uid("enlarge")
            .apply(tasks.events());
    drawn
        .images()
        .union(enlarged.images())
        .sinkTo(DiffusionSinks.images().setTopic("images").setFailuresTopic("failures").build(env));
    prompts
        .failures()
        .union(tasks.failures(), drawn.failures(), enlarged.failures())
        .sinkTo(DiffusionSinks.failures().setTopic("failures").build(env));
    env.execute("bad requests");
  }
}
