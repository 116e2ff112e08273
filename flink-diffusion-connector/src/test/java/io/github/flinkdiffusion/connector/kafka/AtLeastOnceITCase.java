/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.Originals;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;

/** At-least-once delivery: visible at once, nothing lost, and repetitions marked. */
class AtLeastOnceITCase {
  private static final Duration PATIENCE = Duration.ofMinutes(1);
  private static final AtomicBoolean FAILED = new AtomicBoolean();

  private static final class Draw implements MapFunction<PromptEvent, ImageEvent> {
    private static final long serialVersionUID = 1L;

    @Override
    public ImageEvent map(PromptEvent prompt) {
      if (prompt.getPrompt().equals("fail once") && FAILED.compareAndSet(false, true)) {
        throw new IllegalStateException("as the test wants it");
      }
      return ImageEvent.newBuilder()
          .setId(prompt.getId())
          .setImage(ByteBuffer.wrap(new byte[] {1}))
          .setWidth(1)
          .setHeight(1)
          .setOriginal(
              Originals.of(EventCodec.prompts().encode(prompt), 1 << 20, prompt.getOrigin()))
          .build();
    }
  }

  private static void send(EmbeddedKafka kafka, int from, int to, String text) {
    kafka.send(
        IntStream.range(from, to)
            .mapToObj(
                i ->
                    new ProducerRecord<byte[], byte[]>(
                        "prompts",
                        EventCodec.prompts()
                            .encode(
                                PromptEvent.newBuilder().setId("p" + i).setPrompt(text).build())))
            .toList());
  }

  @Test
  void resultsAreVisibleBeforeAnyCheckpointAndThoseThatComeAgainAreMarked() throws Exception {
    try (EmbeddedKafka kafka = EmbeddedKafka.builder().start()) {
      kafka.createTopics(1, "prompts", "images", "failures");
      StreamExecutionEnvironment env =
          // Not the test utilities' cluster, which changes settings at random.
          StreamExecutionEnvironment.createLocalEnvironment(
              1,
              new Configuration()
                  .set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofHours(1))
                  .set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay")
                  .set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, 1)
                  .set(
                      RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY,
                      Duration.ofMillis(100))
                  .set(KafkaOptions.BOOTSTRAP_SERVERS, kafka.bootstrapServers())
                  .set(KafkaOptions.DELIVERY, Delivery.AT_LEAST_ONCE));
      Decoded.split(
              env.fromSource(
                  DiffusionSources.prompts().setTopics("prompts").build(env),
                  WatermarkStrategy.noWatermarks(),
                  "prompts"))
          .events()
          .map(new Draw())
          .sinkTo(
              DiffusionSinks.images().setTopic("images").setFailuresTopic("failures").build(env));
      JobClient job = env.executeAsync("at least once");
      send(kafka, 0, 10, "a cat");
      assertThat(kafka.readCommitted("images", 10, PATIENCE)).noneMatch(AtLeastOnceITCase::marked);
      send(kafka, 10, 11, "fail once");
      awaitImage(kafka, "p10");
      send(kafka, 11, 15, "a cat");
      List<ConsumerRecord<byte[], byte[]>> all = awaitImage(kafka, "p14");
      job.cancel().get();

      assertThat(FAILED).isTrue();
      Map<String, List<Boolean>> marks =
          all.stream()
              .collect(
                  Collectors.groupingBy(
                      r -> new String(r.key(), UTF_8),
                      Collectors.mapping(AtLeastOnceITCase::marked, Collectors.toList())));
      assertThat(marks).hasSize(15);
      for (int i = 0; i < 10; i++) {
        // Whether it came again depends on when a checkpoint was made.
        assertThat(marks.get("p" + i)).startsWith(false);
        assertThat(marks.get("p" + i).stream().skip(1)).doesNotContain(false);
      }
      // It was there before the restart, so nobody knows that it never had a result.
      assertThat(marks.get("p10")).containsExactly(true);
      for (int i = 11; i < 15; i++) {
        assertThat(marks.get("p" + i)).as("sent after the restart").containsExactly(false);
      }
      assertThat(EventCodec.images().decode(all.get(all.size() - 5).value()).getContext()).isNull();
    }
  }

  @Test
  void aJobWithoutCheckpointsIsRefused() {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    assertThatThrownBy(
            () ->
                DiffusionSinks.failures()
                    .setTopic("failures")
                    .setBootstrapServers("localhost:1")
                    .setDelivery(Delivery.AT_LEAST_ONCE)
                    .build(env))
        .isInstanceOf(KafkaSettingsException.class)
        .hasMessageContaining("needs checkpoints for at-least-once delivery");
    assertThatThrownBy(() -> DiffusionSinks.progress().setDelivery(Delivery.EXACTLY_ONCE))
        .isInstanceOf(KafkaSettingsException.class);
  }

  private static List<ConsumerRecord<byte[], byte[]>> awaitImage(EmbeddedKafka kafka, String id) {
    return Awaitility.await()
        .atMost(PATIENCE)
        .until(
            () -> kafka.readCommitted("images"),
            all -> all.stream().anyMatch(r -> new String(r.key(), UTF_8).equals(id)));
  }

  private static boolean marked(ConsumerRecord<byte[], byte[]> record) {
    return record.headers().lastHeader(EventHeaders.DUPLICATE) != null;
  }
}
