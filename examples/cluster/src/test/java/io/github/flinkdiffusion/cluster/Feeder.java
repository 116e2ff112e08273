/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import io.github.flinkdiffusion.connector.event.EventCodec;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Keeps a job under load: sends the next request whenever fewer than a given number are without an
 * answer, until it is stopped. A thread of its own, so that the load goes on while a test waits.
 */
final class Feeder implements AutoCloseable {
  private static final long LOOK_AGAIN_MILLIS = 20;

  private final KafkaProducer<byte[], byte[]> producer;
  private final Thread thread;
  private volatile boolean stop;
  private volatile Exception failure;
  private volatile int sent;

  Feeder(String bootstrapServers, String topic, long seed, Answers answers, int unanswered) {
    producer = producer(bootstrapServers);
    thread =
        new Thread(
            () -> {
              try {
                while (!stop) {
                  if (sent - answers.count() < unanswered) {
                    producer.send(record(topic, seed, sent)).get();
                    sent++;
                  } else {
                    Thread.sleep(LOOK_AGAIN_MILLIS);
                  }
                }
              } catch (Exception e) {
                failure = e;
              }
            },
            "feeder-" + topic);
    thread.setDaemon(true);
    thread.start();
  }

  /** Sends the first so many requests at once. */
  static void sendAll(String bootstrapServers, String topic, long seed, int count)
      throws InterruptedException, ExecutionException {
    try (KafkaProducer<byte[], byte[]> producer = producer(bootstrapServers)) {
      Future<RecordMetadata> last = null;
      for (int number = 0; number < count; number++) {
        last = producer.send(record(topic, seed, number));
      }
      producer.flush();
      if (last != null) {
        last.get();
      }
    }
  }

  private static ProducerRecord<byte[], byte[]> record(String topic, long seed, int number) {
    // Alternating, so that no subtask is idle.
    return new ProducerRecord<>(
        topic,
        number % KillITCase.PARALLELISM,
        null,
        EventCodec.prompts().encode(Requests.request(seed, number)));
  }

  private static KafkaProducer<byte[], byte[]> producer(String bootstrapServers) {
    return new KafkaProducer<>(
        Map.of(
            ProducerConfig.BOOTSTRAP_SERVERS_CONFIG,
            bootstrapServers,
            // Exactly once, too, though the broker be killed in between.
            ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG,
            true,
            ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG,
            300_000,
            ProducerConfig.RECONNECT_BACKOFF_MAX_MS_CONFIG,
            500),
        new ByteArraySerializer(),
        new ByteArraySerializer());
  }

  /** Ends the load; returns how many requests were sent, numbered from 0. */
  int end() throws InterruptedException {
    close();
    if (failure != null) {
      throw new AssertionError("Sending failed after " + sent + " requests", failure);
    }
    return sent;
  }

  @Override
  public void close() throws InterruptedException {
    stop = true;
    thread.join();
    producer.close();
  }
}
