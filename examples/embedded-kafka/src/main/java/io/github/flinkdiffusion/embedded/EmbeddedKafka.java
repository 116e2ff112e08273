/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.embedded;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * A running Kafka broker (KRaft) in this JVM, reachable from this machine only.
 *
 * <p>Its limits are Kafka's defaults, {@code transaction.max.timeout.ms} of 15 minutes included, so
 * that a job which would be refused in production is refused here. The one exception is the size of
 * a record, which is large enough for pictures. Topics are not created by being mentioned: a
 * misspelt topic fails.
 *
 * <p>Safe for use by several threads.
 */
public final class EmbeddedKafka implements AutoCloseable {
  /** Largest record the broker takes, in bytes: 16 MiB, a picture of 2048 x 2048 pixels as PNG. */
  public static final int MAX_MESSAGE_BYTES = 16 << 20;

  private static final Duration POLL = Duration.ofMillis(100);
  private static final Duration PATIENCE = Duration.ofSeconds(20);

  private final Node node;
  private final Map<String, String> clientSettings;

  private EmbeddedKafka(Node node, Map<String, String> clientSettings) {
    this.node = node;
    this.clientSettings = clientSettings;
  }

  /** A broker on any free port, in the system's temporary folder. */
  public static Builder builder() {
    return new Builder();
  }

  /** Where clients connect to: {@code host:port}. */
  public String bootstrapServers() {
    return node.bootstrapServers();
  }

  /**
   * Creates topics and returns once they can be used.
   *
   * @throws EmbeddedKafkaException when a topic exists already or its name is not allowed
   */
  public void createTopics(int partitions, String... names) {
    List<NewTopic> topics =
        Arrays.stream(names)
            .map(name -> new NewTopic(name, Optional.of(partitions), Optional.of((short) 1)))
            .toList();
    try (Admin admin = admin()) {
      admin.createTopics(topics).all().get();
      awaitKnown(admin, List.of(names));
    } catch (ExecutionException e) {
      throw new EmbeddedKafkaException(
          "Cannot create the topics " + List.of(names) + ": " + e.getCause().getMessage(),
          e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new EmbeddedKafkaException("Interrupted while creating " + List.of(names), e);
    }
  }

  /** The controller answers before the broker, which serves clients, has heard of the topics. */
  private static void awaitKnown(Admin admin, List<String> names)
      throws ExecutionException, InterruptedException {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (true) {
      try {
        admin.describeTopics(names).allTopicNames().get();
        return;
      } catch (ExecutionException e) {
        if (!(e.getCause() instanceof UnknownTopicOrPartitionException)
            || System.nanoTime() - deadline > 0) {
          throw e;
        }
        Thread.sleep(POLL.toMillis());
      }
    }
  }

  /** A client for everything else that can be asked of a broker; the caller closes it. */
  public Admin admin() {
    return Admin.create(client(Map.of()));
  }

  private Map<String, Object> client(Map<String, Object> more) {
    Map<String, Object> config = new HashMap<>(clientSettings);
    config.put("bootstrap.servers", bootstrapServers());
    config.putAll(more);
    return config;
  }

  /**
   * Sends records and returns once the broker has them all.
   *
   * @throws EmbeddedKafkaException when the broker takes one of them not
   */
  public void send(Collection<ProducerRecord<byte[], byte[]>> records) {
    Map<String, Object> config =
        client(
            Map.of(
                ProducerConfig.MAX_REQUEST_SIZE_CONFIG,
                MAX_MESSAGE_BYTES,
                // A partition that has just come may refuse the first batch and take the second:
                // then the first is out of order for ever.
                ProducerConfig.MAX_IN_FLIGHT_REQUESTS_PER_CONNECTION,
                1));
    try (var producer =
        new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
      var sent = records.stream().map(producer::send).toList();
      for (var answer : sent) {
        answer.get();
      }
    } catch (ExecutionException e) {
      throw new EmbeddedKafkaException(
          "The broker refused a record: " + e.getCause().getMessage(), e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new EmbeddedKafkaException("Interrupted while sending", e);
    }
  }

  /**
   * Reads a topic from its beginning as a downstream job would: only what was committed. Returns as
   * soon as there are {@code atLeast} records, hence possibly a few more.
   *
   * @throws EmbeddedKafkaException when there are fewer after {@code within}; the message says how
   *     many
   */
  public List<ConsumerRecord<byte[], byte[]>> readCommitted(
      String topic, int atLeast, Duration within) {
    List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
    long deadline = System.nanoTime() + within.toNanos();
    try (var consumer = consumer()) {
      assignAll(consumer, topic);
      while (records.size() < atLeast) {
        if (System.nanoTime() - deadline > 0) {
          throw new EmbeddedKafkaException(
              "Topic %s has %d committed records after %s, expected at least %d"
                  .formatted(topic, records.size(), within, atLeast));
        }
        consumer.poll(POLL).forEach(records::add);
      }
    }
    return records;
  }

  /**
   * Reads all that is committed on a topic at this moment, in the order of its partitions. It stops
   * before the first record of a transaction that is still open, as every read-committed consumer.
   */
  public List<ConsumerRecord<byte[], byte[]>> readCommitted(String topic) {
    List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
    try (var consumer = consumer()) {
      List<TopicPartition> partitions = assignAll(consumer, topic);
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      // A position also moves over commit markers, so it reaches the end though no record does.
      while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
        consumer.poll(POLL).forEach(records::add);
      }
    }
    return records;
  }

  private KafkaConsumer<byte[], byte[]> consumer() {
    return new KafkaConsumer<>(
        client(
            Map.of(
                ConsumerConfig.ISOLATION_LEVEL_CONFIG,
                "read_committed",
                ConsumerConfig.AUTO_OFFSET_RESET_CONFIG,
                "earliest")),
        new ByteArrayDeserializer(),
        new ByteArrayDeserializer());
  }

  private static List<TopicPartition> assignAll(
      KafkaConsumer<byte[], byte[]> consumer, String topic) {
    List<TopicPartition> partitions =
        consumer.partitionsFor(topic).stream()
            .map(info -> new TopicPartition(topic, info.partition()))
            .toList();
    consumer.assign(partitions);
    consumer.seekToBeginning(partitions);
    return partitions;
  }

  /** Stops the broker and deletes its folder with all records. */
  @Override
  public void close() {
    node.close();
  }

  /** What a broker is to be like before it starts. */
  public static final class Builder {
    private final Map<String, String> settings = new LinkedHashMap<>();
    private final Map<String, String> clientSettings = new LinkedHashMap<>();
    private final Map<String, String> users = new LinkedHashMap<>();
    private Path parent = Path.of(System.getProperty("java.io.tmpdir"));
    private int port;

    private Builder() {
      settings.put("message.max.bytes", Integer.toString(MAX_MESSAGE_BYTES));
      settings.put("replica.fetch.max.bytes", Integer.toString(MAX_MESSAGE_BYTES));
    }

    /** Existing folder below which the broker makes its own. */
    public Builder folder(Path parent) {
      this.parent = parent;
      return this;
    }

    /**
     * The broker's port, for a program that prints instructions; 0, the default, is any free one.
     */
    public Builder port(int port) {
      this.port = port;
      return this;
    }

    /** A broker setting by Kafka's own name, e.g. {@code transaction.max.timeout.ms}. */
    public Builder setting(String key, String value) {
      settings.put(key, value);
      return this;
    }

    /**
     * A user whom the broker knows from the start, by SCRAM-SHA-512. The listener of clients has
     * the name PLAINTEXT, whatever {@code listener.security.protocol.map} makes of it.
     */
    public Builder scramUser(String name, String password) {
      users.put(name, password);
      return this;
    }

    /** How this object's own clients connect, by Kafka's names, where the broker is secured. */
    public Builder clientSettings(Map<String, String> more) {
      clientSettings.putAll(more);
      return this;
    }

    /**
     * Starts the broker; it is ready for clients on return.
     *
     * @throws EmbeddedKafkaException when it cannot; no folder and no open port is left then
     */
    public EmbeddedKafka start() {
      return new EmbeddedKafka(
          Node.start(parent, port, Map.copyOf(settings), Map.copyOf(users)),
          Map.copyOf(clientSettings));
    }
  }
}
