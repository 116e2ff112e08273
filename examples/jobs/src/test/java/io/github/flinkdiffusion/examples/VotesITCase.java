/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.Test;

/** The analysis of a topic of votes. */
class VotesITCase {
  private static final Path VOTES = Path.of("src/test/resources/votes/votes.jsonl");

  @Test
  void aTopicSaysWhatTheFileSays() throws Exception {
    String ofFile = printed("votes", "--file", VOTES.toString());
    try (EmbeddedKafka kafka = EmbeddedKafka.builder().start()) {
      kafka.createTopics(3, "study-votes");
      try (var producer =
          new KafkaProducer<>(
              Map.<String, Object>of("bootstrap.servers", kafka.bootstrapServers()),
              new ByteArraySerializer(),
              new ByteArraySerializer())) {
        int number = 0;
        for (String line : Files.readAllLines(VOTES)) {
          // One voter's votes are in one partition, so in their order.
          int partition = line.indexOf("voter-0") > 0 ? 0 : line.indexOf("voter-1") > 0 ? 1 : 2;
          producer.send(
              new ProducerRecord<>(
                  "study-votes", partition, null, line.getBytes(StandardCharsets.UTF_8)));
          number++;
        }
        producer.send(new ProducerRecord<>("study-votes", "no vote".getBytes()));
        assertThat(number).isEqualTo(240);
      }

      assertThat(
              printed(
                  "votes",
                  "--bootstrap-servers",
                  kafka.bootstrapServers(),
                  "--topic",
                  "study-votes"))
          .isEqualTo(ofFile);
      assertThat(
              EvaluateTool.run(
                  "votes", "--bootstrap-servers", kafka.bootstrapServers(), "--topic", "nothing"))
          .isEqualTo(1);
    }
  }

  private static String printed(String... arguments) {
    PrintStream before = System.out;
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
    try {
      assertThat(EvaluateTool.run(arguments)).isZero();
    } finally {
      System.setOut(before);
    }
    return out.toString(StandardCharsets.UTF_8);
  }
}
