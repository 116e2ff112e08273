/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.embedded;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.serialization.StringSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EmbeddedKafkaITCase {
  @TempDir Path folder;

  @Test
  void showsCommittedRecordsAndHidesAbortedAndOpenOnes() {
    try (EmbeddedKafka kafka = EmbeddedKafka.builder().folder(folder).start()) {
      kafka.createTopics(2, "out");
      try (var producer = transactional(kafka, 60_000)) {
        producer.initTransactions();
        producer.beginTransaction();
        producer.send(new ProducerRecord<>("out", 0, "k", "committed"));
        producer.commitTransaction();
        producer.beginTransaction();
        producer.send(new ProducerRecord<>("out", 1, "k", "aborted"));
        producer.flush();
        producer.abortTransaction();
        producer.beginTransaction();
        producer.send(new ProducerRecord<>("out", 0, "k", "open"));
        producer.flush();

        assertThat(values(kafka.readCommitted("out"))).containsExactly("committed");
        producer.commitTransaction();
        assertThat(values(kafka.readCommitted("out", 2, Duration.ofSeconds(30))))
            .containsExactly("committed", "open");
      }
    }
    assertThat(folder).isEmptyDirectory();
  }

  @Test
  void takesRecordsOfAPicturesSizeAndKeepsKafkasTransactionLimit() {
    try (EmbeddedKafka kafka = EmbeddedKafka.builder().folder(folder).start()) {
      kafka.createTopics(1, "pictures");
      byte[] picture = new byte[15 << 20];
      kafka.send(List.of(new ProducerRecord<>("pictures", picture)));
      assertThat(kafka.readCommitted("pictures"))
          .singleElement()
          .satisfies(r -> assertThat(r.value()).isEqualTo(picture));

      try (var producer = transactional(kafka, 15 * 60_000 + 1)) {
        assertThatThrownBy(producer::initTransactions)
            .isInstanceOf(KafkaException.class)
            .hasMessageContaining("transaction timeout is larger");
      }
    }
  }

  @Test
  void saysHowManyRecordsThereAreWhenTheyAreTooFew() {
    try (EmbeddedKafka kafka = EmbeddedKafka.builder().folder(folder).start()) {
      kafka.createTopics(1, "in");
      kafka.send(List.of(new ProducerRecord<>("in", new byte[] {1})));
      assertThatThrownBy(() -> kafka.readCommitted("in", 2, Duration.ofSeconds(3)))
          .isInstanceOf(EmbeddedKafkaException.class)
          .hasMessageContaining("Topic in has 1 committed records")
          .hasMessageContaining("at least 2");
    }
  }

  @Test
  void leavesNoFolderWhenAPortIsTaken() throws Exception {
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      var builder = EmbeddedKafka.builder().folder(folder).port(taken.getLocalPort());
      assertThatThrownBy(builder::start)
          .isInstanceOf(EmbeddedKafkaException.class)
          .hasMessageContaining(":" + taken.getLocalPort());
    }
    assertThat(folder).isEmptyDirectory();
  }

  @Test
  void leavesNoFolderWhenTheBrokerStopsHalfwayThroughItsStart() {
    // The controller comes up first; only the broker part looks at this setting.
    var builder =
        EmbeddedKafka.builder()
            .folder(folder)
            .setting("authorizer.class.name", "no.such.Authorizer");
    assertThatThrownBy(builder::start)
        .isInstanceOf(EmbeddedKafkaException.class)
        .hasMessageContaining("no.such.Authorizer");
    assertThat(folder).isEmptyDirectory();
  }

  private static KafkaProducer<String, String> transactional(EmbeddedKafka kafka, int timeoutMs) {
    return new KafkaProducer<>(
        Map.of(
            ProducerConfig.BOOTSTRAP_SERVERS_CONFIG,
            kafka.bootstrapServers(),
            ProducerConfig.TRANSACTIONAL_ID_CONFIG,
            "test",
            ProducerConfig.TRANSACTION_TIMEOUT_CONFIG,
            timeoutMs),
        new StringSerializer(),
        new StringSerializer());
  }

  private static List<String> values(
      List<org.apache.kafka.clients.consumer.ConsumerRecord<byte[], byte[]>> records) {
    return records.stream().map(r -> new String(r.value(), UTF_8)).toList();
  }
}
