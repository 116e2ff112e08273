/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Reads single committed records, and keeps the last of them within a bound. */
final class Records implements AutoCloseable {
  private static final long CACHED_BYTES = 48L << 20;
  private static final Duration WAIT = Duration.ofSeconds(10);

  private final KafkaConsumer<byte[], byte[]> consumer;
  private final LinkedHashMap<String, byte[]> cache = new LinkedHashMap<>(16, 0.75f, true);
  private long cached;

  Records(Properties client) {
    Properties reading = new Properties();
    reading.putAll(client);
    reading.setProperty(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
    reading.setProperty(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, "false");
    reading.setProperty(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "none");
    reading.setProperty(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, "1");
    reading.setProperty(ConsumerConfig.ALLOW_AUTO_CREATE_TOPICS_CONFIG, "false");
    consumer =
        new KafkaConsumer<>(reading, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  /** Keeps a value that was read elsewhere. */
  void keep(String topic, Place place, byte[] value) {
    synchronized (cache) {
      byte[] before = cache.put(topic + '/' + place, value);
      cached += value.length - (before == null ? 0 : before.length);
      var eldest = cache.entrySet().iterator();
      while (cached > CACHED_BYTES && cache.size() > 1) {
        cached -= eldest.next().getValue().length;
        eldest.remove();
      }
    }
  }

  /**
   * The value of a record.
   *
   * @throws Refusal when there is no such record, or no more
   */
  byte[] read(String topic, Place place) throws Refusal {
    synchronized (cache) {
      byte[] known = cache.get(topic + '/' + place);
      if (known != null) {
        return known;
      }
    }
    byte[] value = readFromKafka(topic, place);
    keep(topic, place, value);
    return value;
  }

  private byte[] readFromKafka(String topic, Place place) throws Refusal {
    TopicPartition from = new TopicPartition(topic, place.partition());
    synchronized (consumer) {
      try {
        consumer.assign(List.of(from));
        Map<TopicPartition, Long> end = consumer.endOffsets(List.of(from), WAIT);
        Map<TopicPartition, Long> begin = consumer.beginningOffsets(List.of(from), WAIT);
        if (place.offset() >= begin.get(from) && place.offset() < end.get(from)) {
          consumer.seek(from, place.offset());
          for (ConsumerRecord<byte[], byte[]> record : consumer.poll(WAIT)) {
            if (record.offset() == place.offset() && record.value() != null) {
              return record.value();
            }
          }
        }
      } catch (KafkaException e) {
        throw new Refusal(
            502, "Kafka did not give record %s of topic %s: %s".formatted(place, topic, e));
      }
    }
    throw Refusal.notFound("Topic %s has no record %s, or no longer.", topic, place);
  }

  @Override
  public void close() {
    synchronized (consumer) {
      consumer.close(Duration.ofSeconds(2));
    }
  }
}
