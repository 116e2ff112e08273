/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.event.VoteEvent;
import io.github.flinkdiffusion.connector.format.EventReader;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads all votes there are now, each as Avro's single-object encoding or JSON, whichever it is, or
 * in a format that is given.
 */
final class VoteReader {
  private static final Duration WAIT = Duration.ofSeconds(20);

  private final EventReader<VoteEvent> avro;
  private final EventReader<VoteEvent> json;
  private int unreadable;

  /**
   * @param given null to look at each record
   */
  VoteReader(FormatSettings given) {
    avro = (given == null ? FormatSettings.AVRO : given).reader(VoteEvent.class);
    json = given == null ? FormatSettings.JSON.reader(VoteEvent.class) : avro;
  }

  /** Records that were no votes. */
  int unreadable() {
    return unreadable;
  }

  /** A file with a vote as JSON in each line. */
  void readLines(Path file, Consumer<VoteEvent> votes) {
    try (BufferedReader lines = Files.newBufferedReader(file)) {
      int number = 0;
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        number++;
        if (!line.isBlank()) {
          read(line.getBytes(StandardCharsets.UTF_8), "line-" + number, votes);
        }
      }
    } catch (IOException e) {
      throw new DemoException("Cannot read %s: %s".formatted(file, e), e);
    }
  }

  /**
   * A topic from its beginning to what is its end now; committed records only.
   *
   * @throws DemoException if there is no such topic, or Kafka does not answer
   */
  void readTopic(Map<String, String> properties, String topic, Consumer<VoteEvent> votes) {
    Map<String, Object> client = new HashMap<>(properties);
    client.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
    client.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    client.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
    client.put(ConsumerConfig.ALLOW_AUTO_CREATE_TOPICS_CONFIG, false);
    try (var consumer =
        new KafkaConsumer<>(client, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      List<PartitionInfo> found = consumer.partitionsFor(topic, WAIT);
      if (found == null || found.isEmpty()) {
        throw new DemoException(
            "There is no topic '%s'; set --topic to the topic of votes, such as posters-votes."
                .formatted(topic));
      }
      List<TopicPartition> partitions =
          found.stream().map(each -> new TopicPartition(topic, each.partition())).toList();
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions, WAIT);
      long deadline = System.nanoTime() + WAIT.toNanos();
      while (!isAtEnd(consumer, ends)) {
        var records = consumer.poll(Duration.ofSeconds(1));
        for (ConsumerRecord<byte[], byte[]> record : records) {
          String place = "%s-%d-%d".formatted(topic, record.partition(), record.offset());
          read(record.value(), place, votes);
        }
        if (!records.isEmpty()) {
          deadline = System.nanoTime() + WAIT.toNanos();
        } else if (System.nanoTime() > deadline) {
          throw new DemoException(
              "No record of topic '%s' came for %d s, before its end."
                  .formatted(topic, WAIT.toSeconds()));
        }
      }
    } catch (KafkaException e) {
      throw new DemoException(
          "Cannot read topic '%s' from Kafka at %s: %s"
              .formatted(
                  topic, properties.get(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG), e.getMessage()),
          e);
    }
  }

  private static boolean isAtEnd(
      KafkaConsumer<byte[], byte[]> consumer, Map<TopicPartition, Long> ends) {
    return ends.entrySet().stream()
        .allMatch(each -> consumer.position(each.getKey(), WAIT) >= each.getValue());
  }

  private void read(byte[] value, String place, Consumer<VoteEvent> votes) {
    if (value == null) {
      unreadable++;
      return;
    }
    VoteEvent vote;
    try {
      vote = (value.length > 0 && value[0] == '{' ? json : avro).read(value, place);
    } catch (UndecodableEventException e) {
      unreadable++;
      if (unreadable == 1) {
        System.err.println("Not a vote, and left out: " + place + ": " + e.getMessage());
      }
      return;
    }
    votes.accept(vote);
  }
}
