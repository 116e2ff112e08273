/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Where a result is in Kafka. */
record KafkaResult(String topic, int partition, long offset) {
  private static final Pattern TEXT = Pattern.compile("([\\w.-]+)/(\\d{1,9})/(\\d{1,18})");
  private static final Duration WAIT = Duration.ofSeconds(20);

  /** Reads {@code images/0/17}. */
  static final class Converter implements ITypeConverter<KafkaResult> {
    @Override
    public KafkaResult convert(String text) {
      Matcher place = TEXT.matcher(text);
      if (!place.matches()) {
        throw new TypeConversionException(
            "'"
                + text
                + "' is not a position in Kafka; expected topic/partition/offset, such as"
                + " images/0/17");
      }
      return new KafkaResult(
          place.group(1), Integer.parseInt(place.group(2)), Long.parseLong(place.group(3)));
    }
  }

  /**
   * The committed record's value.
   *
   * @throws DemoException when there is none
   */
  byte[] read(String bootstrapServers) {
    TopicPartition from = new TopicPartition(topic, partition);
    try (var consumer =
        new KafkaConsumer<>(
            Map.<String, Object>of(
                ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG,
                bootstrapServers,
                ConsumerConfig.ISOLATION_LEVEL_CONFIG,
                "read_committed",
                ConsumerConfig.AUTO_OFFSET_RESET_CONFIG,
                "none",
                ConsumerConfig.MAX_POLL_RECORDS_CONFIG,
                1),
            new ByteArrayDeserializer(),
            new ByteArrayDeserializer())) {
      consumer.assign(List.of(from));
      long end = consumer.endOffsets(List.of(from), WAIT).get(from);
      if (offset >= end) {
        throw new DemoException(
            "There is no committed record %s: the partition ends at offset %d."
                .formatted(this, end));
      }
      consumer.seek(from, offset);
      for (ConsumerRecord<byte[], byte[]> record : consumer.poll(WAIT)) {
        if (record.offset() == offset && record.value() != null) {
          return record.value();
        }
      }
      throw new DemoException(
          ("There is no record %s: it was deleted, belongs to an aborted transaction, or marks the"
                  + " end of one.")
              .formatted(this));
    } catch (KafkaException e) {
      throw new DemoException(
          "Cannot read %s from Kafka at %s: %s".formatted(this, bootstrapServers, e.getMessage()),
          e);
    }
  }

  @Override
  public String toString() {
    return topic + "/" + partition + "/" + offset;
  }
}
