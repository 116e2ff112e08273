/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.event.VoteEvent;
import io.github.flinkdiffusion.connector.format.EventReader;
import io.github.flinkdiffusion.connector.kafka.EventHeaders;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Reads the topics, what is committed of them, and tells the wall. One thread. */
final class Watch implements Runnable, AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Watch.class);
  private static final Duration POLL = Duration.ofMillis(500);
  private static final Duration PAUSE = Duration.ofSeconds(1);
  private static final Duration PATIENCE = Duration.ofSeconds(30);
  private static final Duration PAUSE_FOR_BROKERS = Duration.ofMillis(100);

  /** A request that nobody answered for so long is not shown as one that waits. */
  private static final Duration OLD = Duration.ofHours(1);

  private final GalleryTopics topics;
  private final Wall wall;
  private final Records records;
  private final KafkaConsumer<byte[], byte[]> consumer;
  private final Map<String, Handler> handlers = new HashMap<>();
  private final Thread thread = new Thread(this, "gallery-watch");
  private volatile boolean closed;

  /** What is done with the records of a topic. */
  private interface Handler {
    void take(ConsumerRecord<byte[], byte[]> record) throws UndecodableEventException;
  }

  /**
   * @param present the topics that there are; others are not read
   */
  Watch(
      Properties client,
      GalleryTopics topics,
      Set<String> present,
      Formats formats,
      Wall wall,
      Records records) {
    this.topics = topics;
    this.wall = wall;
    this.records = records;
    Properties reading = new Properties();
    reading.putAll(client);
    reading.setProperty(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
    reading.setProperty(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, "false");
    // A topic may lose its oldest records while they are read.
    reading.setProperty(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    reading.setProperty(ConsumerConfig.ALLOW_AUTO_CREATE_TOPICS_CONFIG, "false");
    reading.setProperty(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, "200");
    consumer =
        new KafkaConsumer<>(reading, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    handle(topics.prompts(), formats.reader(PromptEvent.class), this::prompt);
    for (GalleryTopics.Task task : topics.tasks()) {
      handle(
          task.topic(),
          formats.reader(ImageTaskEvent.class),
          (record, event) -> task(task, record, event));
    }
    handle(topics.images(), formats.reader(ImageEvent.class), this::image);
    handle(
        topics.failures(),
        formats.reader(FailureEvent.class),
        (record, event) -> wall.failure(place(record), event, record.timestamp()));
    handle(
        topics.progress(),
        formats.reader(ProgressEvent.class),
        (record, event) -> wall.progress(event));
    handle(topics.votes(), formats.reader(VoteEvent.class), (record, event) -> wall.vote(event));
    handlers.keySet().retainAll(present);
  }

  private interface Taker<T> {
    void take(ConsumerRecord<byte[], byte[]> record, T event);
  }

  private <T extends SpecificRecord> void handle(
      String topic, EventReader<T> reader, Taker<T> taker) {
    handlers.put(topic, record -> taker.take(record, reader.read(record.value(), idOf(record))));
  }

  /** As the sources name a request without an id. */
  private static String idOf(ConsumerRecord<byte[], byte[]> record) {
    Header id = record.headers().lastHeader(EventHeaders.ID);
    return id != null && id.value() != null
        ? new String(id.value(), UTF_8)
        : "%s-%d-%d".formatted(record.topic(), record.partition(), record.offset());
  }

  private static Place place(ConsumerRecord<byte[], byte[]> record) {
    return new Place(record.partition(), record.offset());
  }

  private static boolean isOld(ConsumerRecord<byte[], byte[]> record) {
    return System.currentTimeMillis() - record.timestamp() > OLD.toMillis();
  }

  private void prompt(ConsumerRecord<byte[], byte[]> record, PromptEvent event) {
    if (!isOld(record)) {
      wall.request(event.getId(), "prompt", event.getPrompt(), record.timestamp());
    }
  }

  private void task(
      GalleryTopics.Task task, ConsumerRecord<byte[], byte[]> record, ImageTaskEvent event) {
    records.keep(record.topic(), place(record), record.value());
    wall.source(event.getId(), new Wall.Source(task, place(record)));
    if (!isOld(record)) {
      String name = event.getAttributes().getOrDefault(Events.NAME, event.getPrompt());
      wall.request(event.getId(), task.name(), name, record.timestamp());
    }
  }

  private void image(ConsumerRecord<byte[], byte[]> record, ImageEvent event) {
    records.keep(record.topic(), place(record), record.value());
    wall.result(place(record), event, record.timestamp());
  }

  /** Begins with the last records of each topic, as many as the wall holds. */
  void start() {
    List<TopicPartition> partitions = new ArrayList<>();
    for (String topic : handlers.keySet()) {
      partitionsOf(topic)
          .forEach(info -> partitions.add(new TopicPartition(topic, info.partition())));
    }
    consumer.assign(partitions);
    Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
    Map<TopicPartition, Long> begins = consumer.beginningOffsets(partitions);
    for (TopicPartition partition : partitions) {
      long most = partition.topic().equals(topics.votes()) ? Long.MAX_VALUE / 2 : Wall.MOST;
      consumer.seek(partition, Math.max(begins.get(partition), ends.get(partition) - most));
    }
    thread.setDaemon(true);
    thread.start();
  }

  /** A topic that was just created may have none yet: brokers hear of it one after the other. */
  private List<PartitionInfo> partitionsOf(String topic) {
    long end = System.nanoTime() + PATIENCE.toNanos();
    while (true) {
      List<PartitionInfo> found = consumer.partitionsFor(topic);
      if (found != null && !found.isEmpty()) {
        return found;
      }
      if (System.nanoTime() > end) {
        throw new GalleryException(
            "Topic %s has no partitions after %d s. Start the gallery again when the brokers know it."
                .formatted(topic, PATIENCE.toSeconds()));
      }
      LockSupport.parkNanos(PAUSE_FOR_BROKERS.toNanos());
    }
  }

  @Override
  public void run() {
    try {
      while (!closed) {
        try {
          consumer.poll(POLL).forEach(this::take);
        } catch (WakeupException e) {
          // closed
        } catch (KafkaException e) {
          LOG.warn("Cannot read the topics; trying again.", e);
          Thread.sleep(PAUSE.toMillis());
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      consumer.close(Duration.ofSeconds(2));
    }
  }

  private void take(ConsumerRecord<byte[], byte[]> record) {
    try {
      handlers.get(record.topic()).take(record);
    } catch (UndecodableEventException e) {
      // Requests that cannot be read are the job's to refuse; they come back as dead letters.
      if (record.topic().equals(topics.prompts())
          || topics.tasks().stream().anyMatch(task -> task.topic().equals(record.topic()))) {
        return;
      }
      wall.unreadable(
          "%s/%d/%d: %s"
              .formatted(record.topic(), record.partition(), record.offset(), e.getMessage()));
    } catch (RuntimeException e) {
      LOG.warn("Record {}/{}/{}", record.topic(), record.partition(), record.offset(), e);
      wall.unreadable(
          "%s/%d/%d: %s".formatted(record.topic(), record.partition(), record.offset(), e));
    }
  }

  @Override
  public void close() {
    closed = true;
    consumer.wakeup();
    try {
      thread.join(5_000);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
