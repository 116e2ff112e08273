/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.format.EventFormat;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.util.Collector;
import org.apache.flink.util.OutputTag;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** JSON in and JSON out, with keys and headers, through a real broker. */
class JsonTopicsITCase {
  private static final Duration PATIENCE = Duration.ofMinutes(1);
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final OutputTag<FailureEvent> FAILED = new OutputTag<>("failed") {};

  @RegisterExtension
  static final MiniClusterExtension FLINK =
      new MiniClusterExtension(
          new MiniClusterResourceConfiguration.Builder()
              .setNumberTaskManagers(1)
              .setNumberSlotsPerTaskManager(1)
              .build());

  /** In place of a model: an image of one byte, and a failure for every prompt "fail". */
  private static final class Draw extends ProcessFunction<PromptEvent, ImageEvent> {
    private static final long serialVersionUID = 1L;

    @Override
    public void processElement(PromptEvent prompt, Context context, Collector<ImageEvent> images) {
      if (prompt.getPrompt().equals("fail")) {
        context.output(
            FAILED,
            FailureEvent.newBuilder()
                .setId(prompt.getId())
                .setReason(FailureReason.TIMEOUT)
                .setMessage("too late")
                // As an operator does, which knows no format.
                .setOriginal(ByteBuffer.wrap(EventCodec.prompts().encode(prompt)))
                .setContext(prompt.getContext())
                .build());
      } else {
        images.collect(
            ImageEvent.newBuilder()
                .setId(prompt.getId())
                .setPrompt(prompt.getPrompt())
                .setImage(ByteBuffer.wrap(new byte[] {1}))
                .setWidth(1)
                .setHeight(1)
                .setContext(prompt.getContext())
                .build());
      }
    }
  }

  private static ProducerRecord<byte[], byte[]> line(String key, String json, String traceparent) {
    ProducerRecord<byte[], byte[]> record =
        new ProducerRecord<>(
            "prompts", key == null ? null : key.getBytes(UTF_8), json.getBytes(UTF_8));
    if (traceparent != null) {
      record.headers().add("traceparent", traceparent.getBytes(UTF_8));
      record.headers().add("not-chosen", new byte[] {1});
    }
    return record;
  }

  @Test
  void promptsInJsonBecomeImagesInJsonWithKeyAndTrace() throws Exception {
    try (EmbeddedKafka kafka = EmbeddedKafka.builder().start()) {
      kafka.createTopics(1, "prompts", "images", "failures");
      kafka.send(
          List.of(
              line("customer-1", "{\"prompt\": \"a red fox\"}", "00-trace-1"),
              line(null, "{\"id\": \"mine\", \"prompt\": \"a blue whale\"}", null),
              line("customer-2", "{\"prompt\": \"fail\"}", "00-trace-2"),
              line("customer-3", "{\"promt\": \"a green frog\"}", "00-trace-3"),
              line("k".repeat(9_000), "{\"prompt\": \"a long key\"}", null)));
      StreamExecutionEnvironment env =
          StreamExecutionEnvironment.getExecutionEnvironment(
              new Configuration()
                  .set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(300))
                  .set(PipelineOptions.GENERIC_TYPES, false)
                  .set(KafkaOptions.BOOTSTRAP_SERVERS, kafka.bootstrapServers())
                  .set(KafkaOptions.TRANSACTIONAL_ID_PREFIX, "json")
                  .set(KafkaOptions.SOURCE_FORMAT, EventFormat.JSON)
                  .set(KafkaOptions.SINK_FORMAT, EventFormat.JSON));
      env.setParallelism(1);
      var prompts =
          Decoded.split(
              env.fromSource(
                  DiffusionSources.prompts()
                      .setTopics("prompts")
                      .setBounded(OffsetsInitializer.latest())
                      .build(env),
                  WatermarkStrategy.noWatermarks(),
                  "prompts"));
      var images = prompts.events().process(new Draw());
      DataStream<FailureEvent> failures = prompts.failures().union(images.getSideOutput(FAILED));
      images.sinkTo(
          DiffusionSinks.images().setTopic("images").setFailuresTopic("failures").build(env));
      failures.sinkTo(DiffusionSinks.failures().setTopic("failures").build(env));
      env.execute("json");

      Map<String, ConsumerRecord<byte[], byte[]>> byId =
          kafka.readCommitted("images", 2, PATIENCE).stream()
              .collect(Collectors.toMap(r -> json(r).get("id").asText(), Function.identity()));
      ConsumerRecord<byte[], byte[]> fox = byId.get("prompts-0-0");
      assertThat(text(fox.key())).isEqualTo("customer-1");
      assertThat(text(fox.headers().lastHeader("traceparent").value())).isEqualTo("00-trace-1");
      assertThat(fox.headers()).hasSize(1);
      assertThat(json(fox).get("image").asText()).isEqualTo("AQ==");
      assertThat(text(byId.get("mine").key())).isEqualTo("mine");
      assertThat(byId.get("mine").headers()).isEmpty();

      Map<String, ConsumerRecord<byte[], byte[]>> byTrace =
          kafka.readCommitted("failures", 3, PATIENCE).stream()
              .collect(
                  Collectors.toMap(
                      r ->
                          r.headers().lastHeader("traceparent") == null
                              ? "none"
                              : text(r.headers().lastHeader("traceparent").value()),
                      Function.identity()));
      ConsumerRecord<byte[], byte[]> late = byTrace.get("00-trace-2");
      assertThat(text(late.key())).isEqualTo("customer-2");
      assertThat(JSON.readTree(json(late).get("original").binaryValue()).get("id").asText())
          .as("the request within is JSON, too")
          .isEqualTo("prompts-0-2");
      ConsumerRecord<byte[], byte[]> misspelled = byTrace.get("00-trace-3");
      assertThat(text(misspelled.key())).isEqualTo("customer-3");
      assertThat(json(misspelled).get("message").asText())
          .contains("topic prompts, partition 0, offset 3")
          .contains("'promt' (did you mean 'prompt'?)");
      assertThat(json(misspelled).get("original").binaryValue())
          .isEqualTo("{\"promt\": \"a green frog\"}".getBytes(UTF_8));
      assertThat(json(byTrace.get("none")).get("message").asText())
          .contains("9000 bytes; a request carries at most 8192");
    }
  }

  private static JsonNode json(ConsumerRecord<byte[], byte[]> record) {
    try {
      return JSON.readTree(record.value());
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static String text(byte[] bytes) {
    return new String(bytes, UTF_8);
  }
}
