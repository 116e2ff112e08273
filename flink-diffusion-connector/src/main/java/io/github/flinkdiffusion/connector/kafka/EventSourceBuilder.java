/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import io.github.flinkdiffusion.connector.format.EventFormat;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import io.github.flinkdiffusion.connector.format.UnknownFields;
import io.github.flinkdiffusion.connector.kafka.internal.EarliestOrFail;
import io.github.flinkdiffusion.connector.kafka.internal.EventDeserializer;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Properties;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.KafkaSourceBuilder;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.jspecify.annotations.NullMarked;
import org.jspecify.annotations.Nullable;

/**
 * Builds the source of one kind of event. It reads only what was committed, starts with the oldest
 * record, and turns bytes that are no such event into a failure; see {@link Decoded}.
 *
 * @param <T> the event
 */
@NullMarked
@PublicEvolving
public final class EventSourceBuilder<T extends SpecificRecord> {
  private static final String READ_COMMITTED = "read_committed";

  /** As of the records that are written. */
  private static final MemorySize LARGEST_MAX_ORIGINAL_SIZE = MemorySize.ofMebiBytes(1023);

  /** Properties that a method or Flink sets, with what to do instead. */
  private static final Map<String, String> RESERVED =
      Map.of(
          ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG,
          "call setBootstrapServers(...) or set " + KafkaOptions.BOOTSTRAP_SERVERS.key(),
          ConsumerConfig.GROUP_ID_CONFIG,
          "call setGroupId(...) or set " + KafkaOptions.GROUP_ID.key(),
          ConsumerConfig.AUTO_OFFSET_RESET_CONFIG,
          "call setStartingOffsets(...), which decides it",
          ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG,
          "leave it out, the source reads bytes",
          ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG,
          "leave it out, the source reads bytes");

  private final Class<T> eventClass;
  private final Settings settings = new Settings();
  private List<String> topics = List.of();
  private OffsetsInitializer startingOffsets = new EarliestOrFail();
  private @Nullable OffsetsInitializer end;

  EventSourceBuilder(Class<T> eventClass) {
    this.eventClass = eventClass;
  }

  /** {@link KafkaOptions#BOOTSTRAP_SERVERS}. */
  public EventSourceBuilder<T> setBootstrapServers(String servers) {
    settings.set(KafkaOptions.BOOTSTRAP_SERVERS, servers);
    return this;
  }

  /** The topics to read; required. */
  public EventSourceBuilder<T> setTopics(String... names) {
    topics = List.of(names);
    return this;
  }

  /** {@link KafkaOptions#GROUP_ID}. */
  public EventSourceBuilder<T> setGroupId(String id) {
    settings.set(KafkaOptions.GROUP_ID, id);
    return this;
  }

  /**
   * Where to begin if the job starts without a checkpoint or savepoint; otherwise the source
   * continues from its offsets.
   *
   * <p>The default is the oldest record. It is also strict: when the topic's retention has deleted
   * what a checkpoint still has to read, the job fails instead of continuing after the gap. To
   * accept the gap, set {@code OffsetsInitializer.earliest()}. Beware of {@code
   * committedOffsets()}: a group's offset is past the requests that were being worked on, and those
   * are in the checkpoint only.
   */
  public EventSourceBuilder<T> setStartingOffsets(OffsetsInitializer offsets) {
    startingOffsets = Objects.requireNonNull(offsets);
    return this;
  }

  /** Where to end, which ends the job. Default: the source never ends. */
  public EventSourceBuilder<T> setBounded(OffsetsInitializer offsets) {
    end = Objects.requireNonNull(offsets);
    return this;
  }

  /** {@link KafkaOptions#MAX_ORIGINAL_SIZE}. */
  public EventSourceBuilder<T> setMaxOriginalSize(MemorySize size) {
    settings.set(KafkaOptions.MAX_ORIGINAL_SIZE, size);
    return this;
  }

  /** {@link KafkaOptions#SOURCE_FORMAT}. */
  public EventSourceBuilder<T> setFormat(EventFormat format) {
    settings.set(KafkaOptions.SOURCE_FORMAT, format);
    return this;
  }

  /** {@link KafkaOptions#SOURCE_AVRO_SCHEMA}. */
  public EventSourceBuilder<T> setAvroSchema(String schemaOrFile) {
    settings.set(KafkaOptions.SOURCE_AVRO_SCHEMA, schemaOrFile);
    return this;
  }

  /** {@link KafkaOptions#REGISTRY_URL}. */
  public EventSourceBuilder<T> setRegistry(String url) {
    settings.set(KafkaOptions.REGISTRY_URL, url);
    return this;
  }

  /** {@link KafkaOptions#UNKNOWN_FIELDS}. */
  public EventSourceBuilder<T> setUnknownFields(UnknownFields what) {
    settings.set(KafkaOptions.UNKNOWN_FIELDS, what);
    return this;
  }

  /** {@link KafkaOptions#HEADERS}. */
  public EventSourceBuilder<T> setHeaders(String... names) {
    settings.set(KafkaOptions.HEADERS, List.of(names));
    return this;
  }

  /** A consumer property by Kafka's own name; wins over {@link KafkaOptions#PROPERTIES}. */
  public EventSourceBuilder<T> setProperty(String key, String value) {
    settings.property(key, value);
    return this;
  }

  /**
   * The source, for {@code env.fromSource(...)}.
   *
   * @param env the job's environment, for what was set in its configuration
   * @throws KafkaSettingsException when a setting is missing or would lose records
   */
  public KafkaSource<Decoded<T>> build(StreamExecutionEnvironment env) {
    ReadableConfig job = env.getConfiguration();
    Settings.refuseUnknown(job);
    String what = "A source of " + eventClass.getSimpleName();
    String servers =
        settings.require(
            KafkaOptions.BOOTSTRAP_SERVERS,
            job,
            what,
            "to know where Kafka is",
            "setBootstrapServers");
    if (topics.isEmpty()) {
      throw new KafkaSettingsException(what + " needs topics: call setTopics(...).");
    }
    Properties properties = settings.properties(job);
    check(what, properties);
    properties.setProperty(ConsumerConfig.ISOLATION_LEVEL_CONFIG, READ_COMMITTED);

    KafkaSourceBuilder<Decoded<T>> builder =
        KafkaSource.<Decoded<T>>builder()
            .setProperties(properties)
            .setBootstrapServers(servers)
            .setTopics(topics)
            .setStartingOffsets(startingOffsets)
            .setDeserializer(
                new EventDeserializer<>(
                    eventClass,
                    maxOriginalBytes(job),
                    format(job, what),
                    settings.get(KafkaOptions.HEADERS, job)));
    Optional<String> groupId = settings.find(KafkaOptions.GROUP_ID, job);
    groupId.ifPresent(builder::setGroupId);
    if (end != null) {
      builder.setBounded(end);
    }
    return builder.build();
  }

  private FormatSettings format(ReadableConfig job, String what) {
    FormatSettings format = Formats.ofSource(settings, job, what);
    try {
      format.reader(eventClass);
    } catch (IllegalArgumentException e) {
      throw new KafkaSettingsException(what + " cannot be built: " + e.getMessage());
    }
    return format;
  }

  private int maxOriginalBytes(ReadableConfig job) {
    MemorySize size = settings.get(KafkaOptions.MAX_ORIGINAL_SIZE, job);
    if (size.compareTo(LARGEST_MAX_ORIGINAL_SIZE) > 0) {
      throw new KafkaSettingsException(
          "Invalid value '%s' for option '%s': expected at most %s."
              .formatted(size, KafkaOptions.MAX_ORIGINAL_SIZE.key(), LARGEST_MAX_ORIGINAL_SIZE));
    }
    return (int) size.getBytes();
  }

  private static void check(String what, Properties properties) {
    Settings.refuseReserved(what, properties, RESERVED);
    String isolation =
        properties.getProperty(ConsumerConfig.ISOLATION_LEVEL_CONFIG, READ_COMMITTED);
    if (!isolation.equals(READ_COMMITTED)) {
      throw new KafkaSettingsException(
          ("%s cannot have isolation.level=%s: it would read records that an upstream job rolls"
                  + " back after a failure, and process them twice. Leave it out, or set %s.")
              .formatted(what, isolation, READ_COMMITTED));
    }
    if (Boolean.parseBoolean(properties.getProperty(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG))) {
      throw new KafkaSettingsException(
          what
              + " cannot have enable.auto.commit=true: the group's offset would be ahead of the"
              + " records that are processed. Leave it out; offsets are committed with each"
              + " checkpoint.");
    }
  }
}
