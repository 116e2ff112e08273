/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.Originals;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordContext;
import io.github.flinkdiffusion.connector.format.EventJson;
import io.github.flinkdiffusion.connector.kafka.EventHeaders;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class ResendToolITCase {
  private static final PromptEvent PROMPT =
      PromptEvent.newBuilder().setId("late").setPrompt("a cat").build();

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();
  private final PrintStream standardOut = System.out;
  private final PrintStream standardErr = System.err;

  @BeforeEach
  void captureOutput() {
    System.setOut(new PrintStream(out, true, UTF_8));
    System.setErr(new PrintStream(err, true, UTF_8));
  }

  @AfterEach
  void releaseOutput() {
    System.setOut(standardOut);
    System.setErr(standardErr);
  }

  private static ByteBuffer bytes(String text) {
    return ByteBuffer.wrap(text.getBytes(UTF_8));
  }

  private static FailureEvent.Builder failure(FailureReason reason) {
    return FailureEvent.newBuilder()
        .setReason(reason)
        .setMessage("as the test wants it")
        .setTopic("prompts")
        .setPartition(0)
        .setOffset(0L);
  }

  private static FailureEvent late() {
    return failure(FailureReason.TIMEOUT)
        .setId("late")
        .setOriginal(ByteBuffer.wrap(EventCodec.prompts().encode(PROMPT)))
        .setContext(
            new RecordContext(
                bytes("customer"),
                Map.of("traceparent", bytes("00-1"), EventHeaders.DUPLICATE, bytes("possible"))))
        .build();
  }

  private static ProducerRecord<byte[], byte[]> avro(FailureEvent failure) {
    return new ProducerRecord<>("failures", EventCodec.failures().encode(failure));
  }

  private int resend(EmbeddedKafka kafka, String... more) {
    List<String> arguments =
        new ArrayList<>(
            List.of("--bootstrap-servers", kafka.bootstrapServers(), "--failures", "failures"));
    arguments.addAll(List.of(more));
    out.reset();
    err.reset();
    return ResendTool.run(arguments.toArray(String[]::new));
  }

  private static String header(Headers headers, String name) {
    return new String(headers.lastHeader(name).value(), UTF_8);
  }

  @Test
  void eachFailureIsSentAgainOnceAsItCameWhateverTheFilters() throws Exception {
    try (EmbeddedKafka kafka = EmbeddedKafka.builder().start()) {
      kafka.createTopics(1, "prompts", "failures");
      byte[] long_ = "{\"prompt\": \"%s\"}".formatted("x".repeat(1000)).getBytes(UTF_8);
      kafka.send(List.of(new ProducerRecord<>("prompts", long_)));
      FailureEvent misspelled =
          failure(FailureReason.UNDECODABLE)
              .setOffset(17L)
              .setOriginal(bytes("{\"promt\": \"a dog\"}"))
              .build();
      FailureEvent truncated = Originals.set(failure(FailureReason.UNDECODABLE), long_, 10).build();
      FailureEvent gone =
          Originals.set(failure(FailureReason.UNDECODABLE).setOffset(9L), long_, 10).build();
      FailureEvent often =
          failure(FailureReason.TIMEOUT)
              .setId("often")
              .setOriginal(bytes("{}"))
              .setContext(new RecordContext(null, Map.of(EventHeaders.RESENT, bytes("3"))))
              .build();
      kafka.send(
          List.of(
              avro(late()),
              new ProducerRecord<>("failures", EventJson.of(FailureEvent.class).write(misspelled)),
              avro(truncated),
              avro(gone),
              avro(often)));

      assertThat(resend(kafka)).isEqualTo(3);
      assertThat(out.toString(UTF_8))
          .contains("0/0 TIMEOUT late -> prompts: as the test wants it")
          .contains(
              "0/3 UNDECODABLE (no id) cannot be sent again: its request is truncated, and Kafka no"
                  + " longer has topic prompts, partition 0, offset 9.")
          .contains("0/4 TIMEOUT often cannot be sent again: it was sent again 3 times already")
          .contains(
              "5 failures, 5 of them selected: 3 would be sent again, 0 were sent before, 2 cannot"
                  + " be sent.")
          .contains("Nothing was sent");
      assertThat(kafka.readCommitted("prompts")).hasSize(1);

      assertThat(resend(kafka, "--send", "--reason", "timeout", "--id", "late", "--since", "1 h"))
          .isZero();
      assertThat(resend(kafka, "--send", "--until", "1 h")).isZero();
      assertThat(resend(kafka, "--send")).isEqualTo(3);
      assertThat(out.toString(UTF_8))
          .contains("2 sent again, 1 were sent before, 2 cannot be sent.");
      assertThat(resend(kafka, "--send")).isEqualTo(3);
      assertThat(out.toString(UTF_8)).contains("0 sent again, 3 were sent before");

      List<ConsumerRecord<byte[], byte[]>> sent = kafka.readCommitted("prompts");
      assertThat(sent).hasSize(4);
      ConsumerRecord<byte[], byte[]> first = sent.get(1);
      assertThat(EventCodec.prompts().decode(first.value())).isEqualTo(PROMPT);
      assertThat(new String(first.key(), UTF_8)).isEqualTo("customer");
      assertThat(header(first.headers(), "traceparent")).isEqualTo("00-1");
      assertThat(header(first.headers(), EventHeaders.RESENT)).isEqualTo("1");
      assertThat(first.headers().lastHeader(EventHeaders.DUPLICATE)).isNull();
      assertThat(sent.get(2).value()).isEqualTo("{\"promt\": \"a dog\"}".getBytes(UTF_8));
      assertThat(header(sent.get(2).headers(), EventHeaders.ID)).isEqualTo("prompts-0-17");
      assertThat(sent.get(3).value()).as("read again where it stands").isEqualTo(long_);
    }
  }

  @Test
  void aRunThatWasKilledHasSentNothingThatItDidNotNote() throws Exception {
    try (EmbeddedKafka kafka = EmbeddedKafka.builder().start()) {
      kafka.createTopics(1, "prompts", "failures", "failures-resent");
      kafka.send(List.of(avro(late())));
      Properties writing = new Properties();
      writing.setProperty("bootstrap.servers", kafka.bootstrapServers());
      writing.setProperty("transactional.id", "resend/failures");
      KafkaProducer<byte[], byte[]> killed =
          new KafkaProducer<>(writing, new ByteArraySerializer(), new ByteArraySerializer());
      try {
        killed.initTransactions();
        killed.beginTransaction();
        killed.send(new ProducerRecord<>("prompts", EventCodec.prompts().encode(PROMPT)));
        killed.flush(); // and then nothing: its transaction is open

        assertThat(resend(kafka, "--send", "--format", "json")).isZero();
      } finally {
        killed.close(Duration.ZERO);
      }
      List<ConsumerRecord<byte[], byte[]>> sent = kafka.readCommitted("prompts");
      assertThat(sent).hasSize(1);
      assertThat(EventJson.of(PromptEvent.class).read(sent.get(0).value(), null)).isEqualTo(PROMPT);
    }
  }

  @Test
  void whatIsWrongIsSaidInOneLine() throws Exception {
    assertThat(ResendTool.run("--bootstrap-servers", "x", "--failures", "f", "--reason", "LATE"))
        .isEqualTo(2);
    assertThat(err.toString(UTF_8)).contains("'LATE' is not a reason; expected one of [UNKNOWN,");
    try (EmbeddedKafka kafka = EmbeddedKafka.builder().start()) {
      assertThat(resend(kafka)).isEqualTo(1);
      // Where the details are is said after it, when a demo has set a log in this process.
      assertThat(err.toString(UTF_8)).startsWith("error: There is no topic failures.\n");
      kafka.createTopics(1, "failures");
      kafka.send(List.of(new ProducerRecord<>("failures", EventCodec.prompts().encode(PROMPT))));
      assertThat(resend(kafka)).isEqualTo(1);
      assertThat(err.toString(UTF_8)).contains("is not a failure").contains("--failures-format");
    }
  }
}
