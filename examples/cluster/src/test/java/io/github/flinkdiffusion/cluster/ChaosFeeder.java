/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Keeps all jobs under load: sends the next request whenever few enough are without an answer; now
 * and then a bad one. A thread of its own, so that the load goes on while something is broken.
 */
final class ChaosFeeder implements AutoCloseable {
  private static final long LOOK_AGAIN_MILLIS = 25;
  private static final int ONE_BAD_IN = 25;
  private static final List<ChaosRequests.Poison> SMALL =
      List.of(
          ChaosRequests.Poison.GARBAGE,
          ChaosRequests.Poison.MUTATED,
          ChaosRequests.Poison.FILE_AS_FOLDER,
          ChaosRequests.Poison.LONG_NAME,
          ChaosRequests.Poison.NO_IMAGE);

  private final KafkaProducer<byte[], byte[]> producer;
  private final ChaosRequests requests;
  private final Ledger ledger;
  private final Map<ChaosJob, Integer> sent = new EnumMap<>(ChaosJob.class);
  private final Map<ChaosJob, Integer> unanswered;
  private final Random random;
  private final Set<ChaosRequests.Poison> without;
  private final Thread thread;
  private volatile boolean feeding;
  private volatile boolean stop;
  private volatile Exception failure;

  /**
   * @param ledger that has caught up: numbers go on where they ended
   * @param unanswered requests of each job that may be without an answer
   * @param without bad requests that are not sent
   */
  ChaosFeeder(
      String bootstrapServers,
      ChaosRequests requests,
      Ledger ledger,
      Map<ChaosJob, Integer> unanswered,
      long seed,
      Set<ChaosRequests.Poison> without) {
    this.without = without;
    this.requests = requests;
    this.ledger = ledger;
    this.unanswered = unanswered;
    this.random = new Random(seed);
    for (ChaosJob job : ChaosJob.values()) {
      sent.put(job, ledger.asked(job));
    }
    producer =
        new KafkaProducer<>(
            Map.of(
                ProducerConfig.BOOTSTRAP_SERVERS_CONFIG,
                bootstrapServers,
                ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG,
                true,
                ProducerConfig.MAX_REQUEST_SIZE_CONFIG,
                16 << 20,
                ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG,
                300_000,
                ProducerConfig.MAX_BLOCK_MS_CONFIG,
                300_000,
                ProducerConfig.RECONNECT_BACKOFF_MAX_MS_CONFIG,
                500),
            new ByteArraySerializer(),
            new ByteArraySerializer());
    thread = new Thread(this::feed, "feeder");
    thread.setDaemon(true);
    thread.start();
  }

  private void feed() {
    try {
      while (!stop) {
        boolean full = true;
        for (ChaosJob job : ChaosJob.values()) {
          if (feeding && count(job) - ledger.answered(job) < unanswered.get(job)) {
            full = false;
            ChaosRequests.Poison poison = SMALL.get(random.nextInt(SMALL.size()));
            ChaosRequest bad =
                random.nextInt(ONE_BAD_IN) == 0 && !without.contains(poison)
                    ? requests.poison(job, count(job), poison)
                    : null;
            send(bad != null ? bad : requests.good(job, count(job)));
          }
        }
        if (full) {
          Thread.sleep(LOOK_AGAIN_MILLIS);
        }
      }
    } catch (Exception e) {
      failure = e;
    }
  }

  private synchronized int count(ChaosJob job) {
    return sent.get(job);
  }

  /** Sends one at once, whatever the load. */
  synchronized void send(ChaosRequest request) throws InterruptedException, ExecutionException {
    ProducerRecord<byte[], byte[]> record =
        new ProducerRecord<>(
            request.job().topics().requests(),
            request.job().partition(count(request.job())),
            null,
            request.value());
    record
        .headers()
        .add(
            ChaosRequest.HEADER,
            (request.expected() + (request.key() == null ? "" : " " + request.key()))
                .getBytes(StandardCharsets.UTF_8));
    producer.send(record).get();
    sent.merge(request.job(), 1, Integer::sum);
  }

  /**
   * Sends one of each bad request that the jobs know.
   *
   * @param others bad requests that are left out this time
   */
  void sendAllPoison(Set<ChaosRequests.Poison> others)
      throws InterruptedException, ExecutionException {
    for (ChaosRequests.Poison poison : ChaosRequests.Poison.values()) {
      for (ChaosJob job : ChaosJob.values()) {
        ChaosRequest request =
            others.contains(poison) || without.contains(poison)
                ? null
                : requests.poison(job, count(job), poison);
        if (request != null) {
          send(request);
        }
      }
    }
  }

  void feed(boolean on) {
    feeding = on;
  }

  /**
   * Waits until the record under way is sent.
   *
   * @return how many were sent since the run began
   */
  synchronized int sent() {
    if (failure != null) {
      throw new AssertionError("Sending failed after " + sent, failure);
    }
    return sent.values().stream().mapToInt(Integer::intValue).sum();
  }

  @Override
  public void close() throws InterruptedException {
    stop = true;
    producer.close(Duration.ofSeconds(1));
    thread.join();
  }
}
