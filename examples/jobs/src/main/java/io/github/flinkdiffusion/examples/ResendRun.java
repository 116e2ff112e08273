/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.format.EventReader;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.function.Consumer;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Reads a failures topic to its present end and sends requests again, in transactions that also
 * note in a {@link ResendLedger} what was sent.
 */
final class ResendRun implements AutoCloseable {
  private static final Duration POLL = Duration.ofMillis(500);
  private static final int MOST_RECORDS = 100;
  private static final long MOST_BYTES = 16 << 20;

  /**
   * What a run did, or would do.
   *
   * @param failures that the topic holds
   * @param matching that the filter takes
   * @param before that an earlier run sent
   * @param sent or to be sent
   * @param impossible that cannot be sent
   */
  record Result(long failures, long matching, long before, long sent, long impossible) {}

  private final Properties client;
  private final String failuresTopic;
  private final String ledgerTopic;
  private final Admin admin;
  private final KafkaConsumer<byte[], byte[]> consumer;
  private final EventReader<FailureEvent> avro;
  private final EventReader<FailureEvent> json;
  private final EventReader<FailureEvent> given;
  private final Set<String> existing = new HashSet<>();

  /**
   * @param client bootstrap.servers and whatever security needs
   * @param format of the failures; null for Avro's single-object encoding or JSON, whichever each
   *     is
   */
  ResendRun(Properties client, String failuresTopic, String ledgerTopic, FormatSettings format) {
    this.client = client;
    this.failuresTopic = failuresTopic;
    this.ledgerTopic = ledgerTopic;
    this.avro = FormatSettings.AVRO.reader(FailureEvent.class);
    this.json = FormatSettings.JSON.reader(FailureEvent.class);
    this.given = format == null ? null : format.reader(FailureEvent.class);
    Properties reading = new Properties();
    reading.putAll(client);
    reading.setProperty(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
    reading.setProperty(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, "false");
    reading.setProperty(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    reading.setProperty(ConsumerConfig.ALLOW_AUTO_CREATE_TOPICS_CONFIG, "false");
    this.admin = Admin.create(client);
    this.consumer =
        new KafkaConsumer<>(reading, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  /**
   * @param send false for what would be done
   * @param each gets a line for every failure that the filter takes
   */
  Result run(FailureFilter filter, Resending resending, boolean send, Consumer<String> each) {
    try {
      ResendLedger ledger = new ResendLedger(topicId(failuresTopic));
      if (!send) {
        if (exists(ledgerTopic)) {
          readAll(ledgerTopic, record -> ledger.add(record.key()));
        }
        return new Pass(filter, resending, ledger, null, each).run();
      }
      createLedger();
      try (KafkaProducer<byte[], byte[]> producer = producer()) {
        // Ends what another run of this kind has open; afterwards it can commit nothing.
        producer.initTransactions();
        readAll(ledgerTopic, record -> ledger.add(record.key()));
        return new Pass(filter, resending, ledger, producer, each).run();
      }
    } catch (KafkaException e) {
      throw new DemoException(
          ("Kafka at %s: %s. Topic %s records what was committed; run the command again to"
                  + " continue.")
              .formatted(client.getProperty("bootstrap.servers"), ErrorLine.of(e), ledgerTopic),
          e);
    }
  }

  /** Sends the request of one failure again, unless it was before. */
  Result resend(int partition, long offset, Resending resending, Consumer<String> each) {
    TopicPartition place = new TopicPartition(failuresTopic, partition);
    try {
      ResendLedger ledger = new ResendLedger(topicId(failuresTopic));
      createLedger();
      try (KafkaProducer<byte[], byte[]> producer = producer()) {
        producer.initTransactions();
        readAll(ledgerTopic, record -> ledger.add(record.key()));
        Pass pass = new Pass(FailureFilter.ALL, resending, ledger, producer, each);
        consumer.assign(List.of(place));
        consumer.seek(place, offset);
        long end = consumer.endOffsets(List.of(place)).get(place);
        while (consumer.position(place) <= offset && offset < end) {
          for (ConsumerRecord<byte[], byte[]> record : consumer.poll(POLL)) {
            if (record.offset() == offset) {
              pass.take(record);
            }
          }
        }
        pass.commit();
        return pass.result();
      }
    } catch (KafkaException e) {
      throw new DemoException(
          "Kafka at %s: %s".formatted(client.getProperty("bootstrap.servers"), ErrorLine.of(e)), e);
    }
  }

  private KafkaProducer<byte[], byte[]> producer() {
    Properties writing = new Properties();
    writing.putAll(client);
    writing.setProperty(ProducerConfig.TRANSACTIONAL_ID_CONFIG, "resend/" + failuresTopic);
    writing.putIfAbsent(ProducerConfig.MAX_REQUEST_SIZE_CONFIG, Integer.toString(64 << 20));
    writing.putIfAbsent(ProducerConfig.BUFFER_MEMORY_CONFIG, Integer.toString(128 << 20));
    return new KafkaProducer<>(writing, new ByteArraySerializer(), new ByteArraySerializer());
  }

  /** One reading of the failures. */
  private final class Pass {
    private final FailureFilter filter;
    private final Resending resending;
    private final ResendLedger ledger;
    private final KafkaProducer<byte[], byte[]> producer;
    private final Consumer<String> each;
    private final List<ProducerRecord<byte[], byte[]>> open = new ArrayList<>();
    private long openBytes;
    private long failures;
    private long matching;
    private long before;
    private long sent;
    private long impossible;

    Pass(
        FailureFilter filter,
        Resending resending,
        ResendLedger ledger,
        KafkaProducer<byte[], byte[]> producer,
        Consumer<String> each) {
      this.filter = filter;
      this.resending = resending;
      this.ledger = ledger;
      this.producer = producer;
      this.each = each;
    }

    Result run() {
      readAll(failuresTopic, this::take);
      commit();
      return result();
    }

    private Result result() {
      return new Result(failures, matching, before, sent, impossible);
    }

    private void take(ConsumerRecord<byte[], byte[]> record) {
      FailureEvent failure = failure(record);
      failures++;
      if (!filter.takes(failure, record.timestamp())) {
        return;
      }
      matching++;
      String place = record.partition() + "/" + record.offset();
      if (ledger.contains(record.partition(), record.offset())) {
        before++;
        return;
      }
      try {
        ProducerRecord<byte[], byte[]> request = resending.record(failure);
        if (!exists(request.topic())) {
          throw new Resending.NotPossibleException("there is no topic " + request.topic());
        }
        each.accept(
            "%s %s %s -> %s: %s"
                .formatted(
                    place,
                    failure.getReason(),
                    failure.getId() == null ? "(no id)" : failure.getId(),
                    request.topic(),
                    failure.getMessage()));
        sent++;
        if (producer != null) {
          open.add(request);
          open.add(
              ledger.record(ledgerTopic, record.partition(), record.offset(), request.topic()));
          openBytes += request.value().length;
          if (open.size() >= 2 * MOST_RECORDS || openBytes >= MOST_BYTES) {
            commit();
          }
        }
      } catch (Resending.NotPossibleException e) {
        impossible++;
        each.accept(
            "%s %s %s cannot be sent again: %s."
                .formatted(
                    place,
                    failure.getReason(),
                    failure.getId() == null ? "(no id)" : failure.getId(),
                    e.getMessage()));
      }
    }

    private void commit() {
      if (open.isEmpty()) {
        return;
      }
      producer.beginTransaction();
      open.forEach(producer::send); // an error of one is an error of the commit
      producer.commitTransaction();
      open.clear();
      openBytes = 0;
    }
  }

  private FailureEvent failure(ConsumerRecord<byte[], byte[]> record) {
    byte[] value = record.value();
    if (value == null) {
      throw new DemoException(
          "Topic %s, partition %d, offset %d has no value: is it a topic of failures?"
              .formatted(record.topic(), record.partition(), record.offset()));
    }
    EventReader<FailureEvent> reader =
        given != null ? given : value.length > 0 && value[0] == '{' ? json : avro;
    try {
      return reader.read(value, null);
    } catch (UndecodableEventException e) {
      throw new DemoException(
          ("Topic %s, partition %d, offset %d is not a failure: %s Name a topic of failures, and"
                  + " their format with --failures-format.")
              .formatted(record.topic(), record.partition(), record.offset(), e.getMessage()),
          e);
    }
  }

  private void readAll(String topic, Consumer<ConsumerRecord<byte[], byte[]>> each) {
    List<TopicPartition> partitions =
        consumer.partitionsFor(topic).stream()
            .map(info -> new TopicPartition(topic, info.partition()))
            .toList();
    consumer.assign(partitions);
    consumer.seekToBeginning(partitions);
    Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
    while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
      for (ConsumerRecord<byte[], byte[]> record : consumer.poll(POLL)) {
        if (record.offset() < ends.get(new TopicPartition(topic, record.partition()))) {
          each.accept(record);
        }
      }
    }
  }

  /** For originals that a failure holds in part. */
  static Optional<ConsumerRecord<byte[], byte[]>> readAt(
      Properties client, String topic, int partition, long offset) {
    Properties reading = new Properties();
    reading.putAll(client);
    reading.setProperty(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, "false");
    reading.setProperty(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "none");
    reading.setProperty(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, "1");
    reading.setProperty(ConsumerConfig.ALLOW_AUTO_CREATE_TOPICS_CONFIG, "false");
    try (KafkaConsumer<byte[], byte[]> one =
        new KafkaConsumer<>(reading, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      TopicPartition at = new TopicPartition(topic, partition);
      one.assign(List.of(at));
      if (one.beginningOffsets(List.of(at)).get(at) > offset
          || one.endOffsets(List.of(at)).get(at) <= offset) {
        return Optional.empty();
      }
      one.seek(at, offset);
      while (one.position(at) <= offset) {
        for (ConsumerRecord<byte[], byte[]> record : one.poll(POLL)) {
          return Optional.of(record).filter(r -> r.offset() == offset);
        }
      }
      return Optional.empty(); // compacted, or a mark of a transaction
    }
  }

  private boolean exists(String topic) {
    if (existing.contains(topic)) {
      return true;
    }
    try {
      topicId(topic);
      return true;
    } catch (DemoException e) {
      return false;
    }
  }

  private Uuid topicId(String topic) {
    try {
      Uuid id = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).topicId();
      existing.add(topic);
      return id;
    } catch (ExecutionException e) {
      if (e.getCause() instanceof UnknownTopicOrPartitionException) {
        throw new DemoException("There is no topic %s.".formatted(topic));
      }
      throw new KafkaException(e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new DemoException("Interrupted.", e);
    }
  }

  private void createLedger() {
    try {
      admin
          .createTopics(
              List.of(
                  new NewTopic(ledgerTopic, Optional.of(1), Optional.<Short>empty())
                      .configs(Map.of("cleanup.policy", "compact"))))
          .all()
          .get();
    } catch (ExecutionException e) {
      if (!(e.getCause() instanceof TopicExistsException)) {
        throw new KafkaException(e.getCause());
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new DemoException("Interrupted.", e);
    }
  }

  @Override
  public void close() {
    consumer.close();
    admin.close();
  }
}
