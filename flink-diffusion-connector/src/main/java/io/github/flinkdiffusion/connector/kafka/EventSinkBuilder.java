/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import io.github.flinkdiffusion.connector.format.EventFormat;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import io.github.flinkdiffusion.connector.kafka.internal.BrokerLimits;
import io.github.flinkdiffusion.connector.kafka.internal.Checkpointing;
import io.github.flinkdiffusion.connector.kafka.internal.EventRecords;
import io.github.flinkdiffusion.connector.kafka.internal.MarkingKafkaSink;
import io.github.flinkdiffusion.connector.kafka.internal.Refusal;
import io.github.flinkdiffusion.connector.kafka.internal.VerifyingKafkaSink;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.KafkaSinkBuilder;
import org.apache.flink.connector.kafka.sink.TransactionNamingStrategy;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.jspecify.annotations.NullMarked;
import org.jspecify.annotations.Nullable;

/**
 * Builds the sink of one kind of event and refuses settings with which it could lose records.
 *
 * <p>An exactly-once sink writes in Kafka transactions that are committed with the checkpoint. The
 * broker aborts a transaction that is open for too long, and its records are lost even though the
 * checkpoint counts them as written. So the builder compares the checkpoint settings, the allowed
 * restart time and the broker's limit. If a transaction is lost all the same, the job fails with a
 * {@link LostTransactionException}; Flink's own committer would log it and continue.
 *
 * <p>Transactions are named by Flink's <em>pooling</em> strategy: a sink uses a handful of names
 * again and again, and after a restart it asks the broker which of them are still open. The other
 * strategy takes a new name for every checkpoint, each of which the broker remembers for seven
 * days, and finds open ones by guessing, the longer the more often a job restarts: no good with
 * checkpoints every few seconds and restarts that load a model. The price: the job needs Kafka 3.0
 * or later and the right to describe and read the topic and to describe its transactional ids; and
 * it cannot go back to the other strategy.
 *
 * <p>After a restart, Flink's committer may warn that a producer is "already fenced": that is the
 * second commit of what was committed before. It is harmless here, since only a transaction that
 * the broker says was committed gets so far.
 *
 * @param <T> the event
 */
@NullMarked
@PublicEvolving
public final class EventSinkBuilder<T extends SpecificRecord> {
  /** Below it, not even a failure without its original would surely fit. */
  private static final MemorySize SMALLEST_MAX_EVENT_SIZE = MemorySize.parse("64kb");

  /** Twice the size must be a possible size of the producer's buffer, and is an int elsewhere. */
  private static final MemorySize LARGEST_MAX_EVENT_SIZE = MemorySize.ofMebiBytes(1023);

  private static final long DEFAULT_BUFFER_BYTES = 32L << 20;

  /**
   * Ends the prefix of a name. Flink aborts every open transaction on the sink's topic whose name
   * starts with the sink's prefix; without an end, the job "posters" would abort those of
   * "posters-2".
   */
  private static final String END_OF_PREFIX = "/";

  private static final Map<String, String> RESERVED =
      Map.of(
          ProducerConfig.BOOTSTRAP_SERVERS_CONFIG,
          "call setBootstrapServers(...) or set " + KafkaOptions.BOOTSTRAP_SERVERS.key(),
          ProducerConfig.TRANSACTIONAL_ID_CONFIG,
          "call setTransactionalIdPrefix(...) or set " + KafkaOptions.TRANSACTIONAL_ID_PREFIX.key(),
          ProducerConfig.TRANSACTION_TIMEOUT_CONFIG,
          "call setTransactionTimeout(...) or set " + KafkaOptions.TRANSACTION_TIMEOUT.key(),
          ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG,
          "leave it out, the sink writes bytes",
          ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG,
          "leave it out, the sink writes bytes");

  /** How the values of records are made. */
  interface Values<T> {
    /**
     * @param maxRecordBytes what a record may have
     */
    SerializationSchema<T> of(int maxRecordBytes, FormatSettings format, String topic);
  }

  private final Class<T> eventClass;
  private final String what;
  private final String kind;
  private final boolean alwaysAtLeastOnce;
  private final SerializationSchema<T> key;
  private final Values<T> values;
  private final @Nullable Refusal<T> refusal;
  private final Settings settings = new Settings();
  private @Nullable String topic;
  private @Nullable String failuresTopic;
  private BrokerLimits.Asking broker = BrokerLimits::ask;

  /**
   * @param refusal null when {@code values} makes every event fit
   */
  EventSinkBuilder(
      Class<T> eventClass,
      String kind,
      boolean alwaysAtLeastOnce,
      SerializationSchema<T> key,
      Values<T> values,
      @Nullable Refusal<T> refusal) {
    this.eventClass = eventClass;
    this.kind = kind;
    this.what = "The sink of " + kind;
    this.alwaysAtLeastOnce = alwaysAtLeastOnce;
    this.key = key;
    this.values = values;
    this.refusal = refusal;
  }

  /** {@link KafkaOptions#BOOTSTRAP_SERVERS}. */
  public EventSinkBuilder<T> setBootstrapServers(String servers) {
    settings.set(KafkaOptions.BOOTSTRAP_SERVERS, servers);
    return this;
  }

  /**
   * The topic to write. Required; it must exist, and take records of {@link
   * KafkaOptions#MAX_EVENT_SIZE}.
   */
  public EventSinkBuilder<T> setTopic(String name) {
    topic = name;
    return this;
  }

  /**
   * Topic for the failure that replaces an event above {@link KafkaOptions#MAX_EVENT_SIZE}, written
   * in the same transaction; usually the topic of the job's other failures. Required for images and
   * requests; other events always fit.
   */
  public EventSinkBuilder<T> setFailuresTopic(String name) {
    failuresTopic = name;
    return this;
  }

  /** {@link KafkaOptions#TRANSACTIONAL_ID_PREFIX}. */
  public EventSinkBuilder<T> setTransactionalIdPrefix(String prefix) {
    settings.set(KafkaOptions.TRANSACTIONAL_ID_PREFIX, prefix);
    return this;
  }

  /** {@link KafkaOptions#TRANSACTION_TIMEOUT}. */
  public EventSinkBuilder<T> setTransactionTimeout(Duration timeout) {
    settings.set(KafkaOptions.TRANSACTION_TIMEOUT, timeout);
    return this;
  }

  /** {@link KafkaOptions#BROKER_MAX_TRANSACTION_TIMEOUT}. */
  public EventSinkBuilder<T> setBrokerMaxTransactionTimeout(Duration timeout) {
    settings.set(KafkaOptions.BROKER_MAX_TRANSACTION_TIMEOUT, timeout);
    return this;
  }

  /** {@link KafkaOptions#ALLOWED_RESTART_TIME}. */
  public EventSinkBuilder<T> setAllowedRestartTime(Duration time) {
    settings.set(KafkaOptions.ALLOWED_RESTART_TIME, time);
    return this;
  }

  /** {@link KafkaOptions#TOLERATE_LOST_TRANSACTIONS}. */
  public EventSinkBuilder<T> setTolerateLostTransactions(boolean tolerate) {
    settings.set(KafkaOptions.TOLERATE_LOST_TRANSACTIONS, tolerate);
    return this;
  }

  /**
   * {@link KafkaOptions#DELIVERY}.
   *
   * @throws KafkaSettingsException for progress, which is written at least once
   */
  public EventSinkBuilder<T> setDelivery(Delivery delivery) {
    if (alwaysAtLeastOnce && delivery != Delivery.AT_LEAST_ONCE) {
      throw new KafkaSettingsException(
          what
              + " cannot have "
              + delivery
              + " delivery: progress is always written at least once. Leave it out.");
    }
    settings.set(KafkaOptions.DELIVERY, delivery);
    return this;
  }

  /** {@link KafkaOptions#MAX_EVENT_SIZE}. */
  public EventSinkBuilder<T> setMaxEventSize(MemorySize size) {
    settings.set(KafkaOptions.MAX_EVENT_SIZE, size);
    return this;
  }

  /** {@link KafkaOptions#SINK_FORMAT}. */
  public EventSinkBuilder<T> setFormat(EventFormat format) {
    settings.set(KafkaOptions.SINK_FORMAT, format);
    return this;
  }

  /** {@link KafkaOptions#SINK_AVRO_SCHEMA}. */
  public EventSinkBuilder<T> setAvroSchema(String schemaOrFile) {
    settings.set(KafkaOptions.SINK_AVRO_SCHEMA, schemaOrFile);
    return this;
  }

  /** {@link KafkaOptions#REGISTRY_URL}. */
  public EventSinkBuilder<T> setRegistry(String url) {
    settings.set(KafkaOptions.REGISTRY_URL, url);
    return this;
  }

  /** {@link KafkaOptions#RECORD_KEY}. */
  public EventSinkBuilder<T> setRecordKey(RecordKey key) {
    settings.set(KafkaOptions.RECORD_KEY, key);
    return this;
  }

  /** A producer property by Kafka's own name; wins over {@link KafkaOptions#PROPERTIES}. */
  public EventSinkBuilder<T> setProperty(String key, String value) {
    settings.property(key, value);
    return this;
  }

  /** For tests without a broker. */
  EventSinkBuilder<T> broker(BrokerLimits.Asking asking) {
    broker = asking;
    return this;
  }

  /**
   * The sink, for {@code stream.sinkTo(...)}. Asks the broker for its limits; where it cannot be
   * reached, that takes five seconds and the settings alone are checked.
   *
   * @param env the job's environment, after checkpointing was enabled in it
   * @throws KafkaSettingsException when a setting is missing or would lose records
   */
  public Sink<T> build(StreamExecutionEnvironment env) {
    ReadableConfig job = env.getConfiguration();
    Settings.refuseUnknown(job);
    if (topic == null || topic.isBlank()) {
      throw new KafkaSettingsException(what + " needs a topic: call setTopic(...).");
    }
    checkFailuresTopic();
    String servers =
        settings.require(
            KafkaOptions.BOOTSTRAP_SERVERS,
            job,
            what,
            "to know where Kafka is",
            "setBootstrapServers");
    Properties properties = settings.properties(job);
    Settings.refuseReserved(what, properties, RESERVED);
    LossChecks checks = new LossChecks(what);
    checks.producer(properties);
    int maxRecordBytes = maxRecordBytes(job, properties);
    FormatSettings format = format(job);
    Delivery delivery =
        alwaysAtLeastOnce ? Delivery.AT_LEAST_ONCE : settings.get(KafkaOptions.DELIVERY, job);
    KafkaSinkBuilder<T> builder =
        KafkaSink.<T>builder()
            .setDeliveryGuarantee(delivery.guarantee())
            .setRecordSerializer(
                new EventRecords<>(
                    topic,
                    key,
                    values.of(maxRecordBytes, format, topic),
                    maxRecordBytes,
                    refusal,
                    failuresTopic,
                    settings.get(KafkaOptions.RECORD_KEY, job),
                    format.withoutAvroSchema()));
    boolean exactlyOnce = delivery == Delivery.EXACTLY_ONCE;
    Checkpointing checkpoints = Checkpointing.of(env);
    if (exactlyOnce) {
      checks.checkpointing(checkpoints);
      builder
          .setTransactionalIdPrefix(transactionalIdPrefix(job))
          .setTransactionNamingStrategy(TransactionNamingStrategy.POOLING);
    } else if (!alwaysAtLeastOnce && checkpoints.streaming() && !checkpoints.enabled()) {
      throw new KafkaSettingsException(
          what
              + " needs checkpoints for at-least-once delivery, too: without them what is in flight"
              + " when a task fails is lost. Call env.enableCheckpointing(...) before building the"
              + " sink, or set execution.checkpointing.interval.");
    }

    properties.setProperty(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, servers);
    BrokerLimits limits = broker.ask(properties, topic);
    checks.topic(limits, topic, maxRecordBytes);
    if (failuresTopic != null) {
      checks.topic(broker.ask(properties, failuresTopic), failuresTopic, maxRecordBytes);
    }
    if (exactlyOnce) {
      Duration timeout = checks.transactionTimeout(settings, job, checkpoints, limits);
      properties.setProperty(
          ProducerConfig.TRANSACTION_TIMEOUT_CONFIG, Long.toString(timeout.toMillis()));
    }
    properties.putIfAbsent(
        ProducerConfig.MAX_REQUEST_SIZE_CONFIG, Integer.toString(maxRecordBytes));
    properties.putIfAbsent(
        ProducerConfig.BUFFER_MEMORY_CONFIG,
        Long.toString(Math.max(DEFAULT_BUFFER_BYTES, 2L * maxRecordBytes)));
    KafkaSink<T> sink = builder.setKafkaProducerConfig(properties).build();
    if (exactlyOnce) {
      return new VerifyingKafkaSink<>(
          what, sink, properties, settings.get(KafkaOptions.TOLERATE_LOST_TRANSACTIONS, job));
    }
    return alwaysAtLeastOnce ? sink : new MarkingKafkaSink<>(sink, properties);
  }

  /** A schema that cannot hold the event is refused here, not on a task manager. */
  private FormatSettings format(ReadableConfig job) {
    FormatSettings format = Formats.ofSink(settings, job, what);
    try {
      format.writer(eventClass, topic);
    } catch (IllegalArgumentException e) {
      throw new KafkaSettingsException(what + " cannot be built: " + e.getMessage());
    }
    return format;
  }

  /** The limit of an event's size, after comparing it with the producer's own limit. */
  private int maxRecordBytes(ReadableConfig job, Properties properties) {
    MemorySize size = settings.get(KafkaOptions.MAX_EVENT_SIZE, job);
    if (size.compareTo(SMALLEST_MAX_EVENT_SIZE) < 0 || size.compareTo(LARGEST_MAX_EVENT_SIZE) > 0) {
      throw new KafkaSettingsException(
          "%s cannot have %s=%s: set it between %s and %s."
              .formatted(
                  what,
                  KafkaOptions.MAX_EVENT_SIZE.key(),
                  size,
                  SMALLEST_MAX_EVENT_SIZE,
                  LARGEST_MAX_EVENT_SIZE));
    }
    String requestSize = properties.getProperty(ProducerConfig.MAX_REQUEST_SIZE_CONFIG);
    if (requestSize != null && Long.parseLong(requestSize) < size.getBytes()) {
      throw new KafkaSettingsException(
          ("%s cannot have max.request.size=%s where events may have %s bytes: the job would fail"
                  + " on the first larger image, and again after every restart. Leave it out,"
                  + " and set %s to the largest event there is.")
              .formatted(what, requestSize, size.getBytes(), KafkaOptions.MAX_EVENT_SIZE.key()));
    }
    return (int) size.getBytes();
  }

  private String transactionalIdPrefix(ReadableConfig job) {
    String prefix =
        settings.require(
            KafkaOptions.TRANSACTIONAL_ID_PREFIX,
            job,
            what,
            "a name for its transactions, unique to this job and the same after every restart",
            "setTransactionalIdPrefix");
    if (prefix.contains(END_OF_PREFIX)) {
      throw new KafkaSettingsException(
          "%s cannot have %s=%s: leave out the '%s', which ends the prefix."
              .formatted(what, KafkaOptions.TRANSACTIONAL_ID_PREFIX.key(), prefix, END_OF_PREFIX));
    }
    return prefix + END_OF_PREFIX + kind + END_OF_PREFIX + topic;
  }

  private void checkFailuresTopic() {
    if (refusal != null && (failuresTopic == null || failuresTopic.isBlank())) {
      throw new KafkaSettingsException(
          what
              + " needs a topic for failures: an event that is too large for Kafka is told there,"
              + " where it would otherwise fail the job again and again. Call"
              + " setFailuresTopic(...).");
    }
    if (failuresTopic != null && failuresTopic.equals(topic)) {
      throw new KafkaSettingsException(
          "%s cannot use topic %s for failures too: readers could not tell results from failures."
              .formatted(what, topic));
    }
    if (refusal == null && failuresTopic != null) {
      throw new KafkaSettingsException(
          "%s does not take setFailuresTopic(%s): its events always fit. Leave it out."
              .formatted(what, failuresTopic));
    }
  }
}
