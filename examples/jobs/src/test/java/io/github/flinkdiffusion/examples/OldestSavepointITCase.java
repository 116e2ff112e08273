/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/**
 * Today's job from a savepoint of the oldest version; how it was made is said beside it. {@code
 * OldestSavepointTest} of the operator is quick.
 */
@Tag("nightly")
class OldestSavepointITCase {
  private static final Path SAVEPOINT =
      Path.of("../../flink-diffusion-ops/src/test/resources/fixtures/operator-state/savepoint-1");

  private static final Duration PATIENCE = Duration.ofMinutes(5);

  private static final Map<String, String> PROMPTS =
      Map.of("long-1", "a heart", "long-2", "a cat face on yellow");

  @RegisterExtension static final MiniClusterExtension FLINK = new MiniClusterExtension();

  @RegisterExtension private static final JobOnKafka JOB = new JobOnKafka();

  @TempDir private Path folder;

  private void start(Topics topics, String transactions, boolean fromSavepoint) throws Exception {
    Configuration configuration =
        new Configuration()
            .set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(300))
            .set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem")
            .set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, folder.toUri().toString())
            .set(RestartStrategyOptions.RESTART_STRATEGY, "none")
            .set(KafkaOptions.BOOTSTRAP_SERVERS, JOB.kafka().bootstrapServers())
            .set(KafkaOptions.TRANSACTIONAL_ID_PREFIX, transactions)
            .set(
                DiffusionOptions.MODEL_FOLDER,
                Path.of("../models/mini-emoji").toAbsolutePath().toString())
            .set(DiffusionOptions.DEVICE, "cpu");
    if (fromSavepoint) {
      configuration.set(
          StateRecoveryOptions.SAVEPOINT_PATH, SAVEPOINT.toAbsolutePath().normalize().toString());
    }
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.getExecutionEnvironment(configuration);
    env.setParallelism(1);
    TextToImageJob.create().define(env, topics);
    JOB.runs(env.executeAsync("oldest"));
  }

  /** All to partition 1, where those of the savepoint came from. */
  private static void send(Topics topics, Map<String, String> prompts) {
    JOB.kafka()
        .send(
            prompts.entrySet().stream()
                .sorted(Map.Entry.comparingByKey())
                .map(
                    prompt ->
                        new ProducerRecord<byte[], byte[]>(
                            topics.requests(),
                            1,
                            null,
                            EventCodec.prompts()
                                .encode(
                                    PromptEvent.newBuilder()
                                        .setId(prompt.getKey())
                                        .setPrompt(prompt.getValue())
                                        .setSteps(prompt.getKey().equals("next") ? 2 : 200)
                                        .setGuidanceScale(2.0)
                                        .setScheduler("DDIMScheduler")
                                        .build())))
                .toList());
  }

  private static Map<String, float[]> images(Topics topics, int count) throws Exception {
    Map<String, float[]> images = new HashMap<>();
    for (var record : JOB.kafka().readCommitted(topics.images(), count, PATIENCE)) {
      ImageEvent event = EventCodec.images().decode(record.value());
      byte[] png = new byte[event.getImage().remaining()];
      event.getImage().duplicate().get(png);
      assertThat(images.put(event.getId(), PngCodec.decode(png).data()))
          .as("the image of %s before", event.getId())
          .isNull();
    }
    assertThat(JOB.kafka().readCommitted(topics.failures())).isEmpty();
    return images;
  }

  @Test
  void itsRequestsAreAnsweredOnceAndItsOffsetsKept() throws Exception {
    Topics topics = Topics.withPrefix("up-");
    JOB.kafka().createTopics(2, topics.all().toArray(String[]::new));
    send(topics, PROMPTS);
    send(topics, Map.of("next", "a heart"));
    start(topics, "up", true);
    Map<String, float[]> images = images(topics, 3);
    JOB.end();
    assertThat(JOB.kafka().readCommitted(topics.images())).hasSize(3);
    assertThat(images).containsOnlyKeys("long-1", "long-2", "next");

    Topics undisturbed = Topics.withPrefix("undisturbed-");
    JOB.kafka().createTopics(2, undisturbed.all().toArray(String[]::new));
    send(undisturbed, PROMPTS);
    start(undisturbed, "undisturbed", false);
    Map<String, float[]> expected = images(undisturbed, 2);
    for (String id : List.of("long-1", "long-2")) {
      // Within one of 256 levels: kernels round differently for batches of another size.
      float largest = 0;
      for (int i = 0; i < expected.get(id).length; i++) {
        largest = Math.max(largest, Math.abs(images.get(id)[i] - expected.get(id)[i]));
      }
      assertThat(Math.round(largest * 255)).as(id).isLessThanOrEqualTo(1);
    }
  }
}
