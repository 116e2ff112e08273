/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.apache.flink.annotation.Internal;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * All payloads that the events of some topics name, from their beginning to the end that they have
 * when the reading begins. Only what is committed counts.
 */
@Internal
public final class NamedPayloads {
  private static final Duration POLL = Duration.ofMillis(500);

  private NamedPayloads() {}

  /**
   * What was read.
   *
   * @param events of any kind
   * @param references to payloads; one payload may be named often
   * @param undecodable records that are no event, whose references are therefore unknown
   * @param firstUndecodable where the first of them is and why it is none
   */
  public record Read(
      long events, long references, long undecodable, Optional<String> firstUndecodable) {}

  /** How far the reading has come. */
  public interface Progress {
    /**
     * @param done offsets
     * @param total offsets, aborted records included
     */
    void at(long done, long total);
  }

  /**
   * Reads the topics.
   *
   * @param client bootstrap.servers and whatever security needs
   * @param each gets every reference
   * @throws KafkaSettingsException when a topic does not exist or the broker does not answer
   */
  public static Read read(
      Properties client, List<String> topics, Consumer<PayloadReference> each, Progress progress) {
    Properties properties = new Properties();
    properties.putAll(client);
    properties.setProperty(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
    properties.setProperty(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, "false");
    properties.setProperty(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    properties.setProperty(ConsumerConfig.ALLOW_AUTO_CREATE_TOPICS_CONFIG, "false");
    try (KafkaConsumer<byte[], byte[]> consumer =
        new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      return new Reader(each).readAll(consumer, topics, progress);
    } catch (KafkaException e) {
      throw new KafkaSettingsException(
          "Cannot read the topics %s of Kafka at %s: %s"
              .formatted(
                  topics,
                  properties.getProperty(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG),
                  e.getMessage()));
    }
  }

  private static final class Reader {
    private final Consumer<PayloadReference> each;
    private long events;
    private long references;
    private long undecodable;
    private String firstUndecodable;

    Reader(Consumer<PayloadReference> each) {
      this.each = each;
    }

    Read readAll(KafkaConsumer<byte[], byte[]> consumer, List<String> topics, Progress progress) {
      List<TopicPartition> partitions =
          topics.stream().flatMap(topic -> partitions(consumer, topic)).toList();
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      // Under read_committed, the end is where the first open transaction begins.
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      Map<TopicPartition, Long> begins = consumer.beginningOffsets(partitions);
      long total = sum(ends) - sum(begins);
      long done = 0;
      while (done < total) {
        consumer.poll(POLL).forEach(this::take);
        done = 0;
        for (TopicPartition partition : partitions) {
          // Counted up to the end, since others go on writing behind it.
          long position = Math.min(consumer.position(partition), ends.get(partition));
          done += position - begins.get(partition);
        }
        progress.at(done, total);
      }
      return new Read(events, references, undecodable, Optional.ofNullable(firstUndecodable));
    }

    private static Stream<TopicPartition> partitions(
        KafkaConsumer<byte[], byte[]> consumer, String topic) {
      var infos = consumer.partitionsFor(topic);
      if (infos == null || infos.isEmpty()) {
        throw new KafkaSettingsException("There is no topic " + topic + ".");
      }
      return infos.stream().map(info -> new TopicPartition(topic, info.partition()));
    }

    private static long sum(Map<TopicPartition, Long> offsets) {
      return offsets.values().stream().mapToLong(Long::longValue).sum();
    }

    private void take(ConsumerRecord<byte[], byte[]> record) {
      if (record.value() == null) {
        return; // a tombstone names nothing
      }
      try {
        List<PayloadReference> found = Payloads.references(record.value());
        events++;
        references += found.size();
        found.forEach(each);
      } catch (UndecodableEventException e) {
        undecodable++;
        if (firstUndecodable == null) {
          firstUndecodable =
              "topic %s, partition %d, offset %d: %s"
                  .formatted(record.topic(), record.partition(), record.offset(), e.getMessage());
        }
      }
    }
  }
}
