/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.examples.Topics;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Everything that a job commits from its beginning on, read by a thread of its own as any consumer
 * behind the job would read it. A broker that is down for a while is waited for.
 */
final class Answers implements AutoCloseable {
  private static final Duration POLL = Duration.ofMillis(100);

  /**
   * One progress event.
   *
   * @param appended when the broker wrote it, in ms since 1970: not before the step was done
   */
  record Step(String id, int step, int totalSteps, long appended) {}

  private final Topics topics;
  private final int partitions;
  private final KafkaConsumer<byte[], byte[]> consumer;
  private final Thread thread;
  private final CountDownLatch ended = new CountDownLatch(1);
  private volatile boolean stop;
  private volatile Exception failure;

  private final List<ImageEvent> images = new ArrayList<>();
  private final List<FailureEvent> failures = new ArrayList<>();
  private final List<Step> steps = new ArrayList<>();

  Answers(String bootstrapServers, Topics topics, int partitions) {
    this.topics = topics;
    this.partitions = partitions;
    consumer =
        new KafkaConsumer<>(
            Map.of(
                ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG,
                bootstrapServers,
                ConsumerConfig.ISOLATION_LEVEL_CONFIG,
                "read_committed",
                ConsumerConfig.AUTO_OFFSET_RESET_CONFIG,
                "earliest",
                // A broker that was killed must not be waited for longer than it is down.
                ConsumerConfig.RECONNECT_BACKOFF_MAX_MS_CONFIG,
                500),
            new ByteArrayDeserializer(),
            new ByteArrayDeserializer());
    thread = new Thread(this::read, "answers-" + topics.images());
    thread.setDaemon(true);
    thread.start();
  }

  private void read() {
    try (consumer) {
      List<TopicPartition> all = new ArrayList<>();
      for (String topic : List.of(topics.images(), topics.failures(), topics.progress())) {
        for (int partition = 0; partition < partitions; partition++) {
          all.add(new TopicPartition(topic, partition));
        }
      }
      consumer.assign(all);
      consumer.seekToBeginning(all);
      while (!stop) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(POLL)) {
          take(record);
        }
      }
      Map<TopicPartition, Long> ends = consumer.endOffsets(all);
      while (all.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(POLL)) {
          take(record);
        }
      }
    } catch (Exception e) {
      failure = e;
    } finally {
      ended.countDown();
    }
  }

  private synchronized void take(ConsumerRecord<byte[], byte[]> record)
      throws UndecodableEventException {
    if (record.topic().equals(topics.images())) {
      images.add(EventCodec.images().decode(record.value()));
    } else if (record.topic().equals(topics.failures())) {
      failures.add(EventCodec.failures().decode(record.value()));
    } else {
      ProgressEvent progress = EventCodec.progress().decode(record.value());
      steps.add(
          new Step(
              progress.getId(), progress.getStep(), progress.getTotalSteps(), record.timestamp()));
    }
  }

  /** How many requests are answered so far, with a picture or a failure. */
  synchronized int count() {
    check();
    return images.size() + failures.size();
  }

  /** How many progress events there are so far. */
  synchronized int stepCount() {
    check();
    return steps.size();
  }

  private void check() {
    if (failure != null) {
      throw new AssertionError("Reading " + topics + " failed", failure);
    }
  }

  /** Reads up to the present end and no further. */
  @Override
  public void close() throws InterruptedException {
    stop = true;
    ended.await();
    check();
  }

  synchronized List<ImageEvent> images() {
    return List.copyOf(images);
  }

  synchronized List<FailureEvent> failures() {
    return List.copyOf(failures);
  }

  synchronized List<Step> steps() {
    return List.copyOf(steps);
  }
}
