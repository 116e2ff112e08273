/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.RecordContext;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import io.github.flinkdiffusion.connector.kafka.RecordKey;
import java.util.List;
import java.util.Optional;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.connector.kafka.lineage.DefaultKafkaDatasetFacet;
import org.apache.flink.connector.kafka.lineage.DefaultKafkaDatasetIdentifier;
import org.apache.flink.connector.kafka.lineage.KafkaDatasetFacet;
import org.apache.flink.connector.kafka.lineage.KafkaDatasetFacetProvider;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * Events as records of Kafka, none of which is too large to be written. An event that would be is
 * written to the failures topic, as a failure, in the same transaction.
 */
@Internal
public final class EventRecords<T>
    implements KafkaRecordSerializationSchema<T>, KafkaDatasetFacetProvider {
  private static final long serialVersionUID = 1L;

  private final String topic;
  private final SerializationSchema<T> key;
  private final SerializationSchema<T> value;
  private final int maxRecordBytes;
  private final Refusal<T> refusal;
  private final String failuresTopic;
  private final RecordKey recordKey;
  private final FailureSerializer failures;

  /**
   * @param maxRecordBytes what a record may have
   * @param refusal null for events that {@code value} makes fit
   * @param failuresTopic null like {@code refusal}
   * @param recordKey whether the key of a request's record is preferred to {@code key}
   * @param format of failures in place of an event
   */
  public EventRecords(
      String topic,
      SerializationSchema<T> key,
      SerializationSchema<T> value,
      int maxRecordBytes,
      Refusal<T> refusal,
      String failuresTopic,
      RecordKey recordKey,
      FormatSettings format) {
    this.topic = topic;
    this.key = key;
    this.value = value;
    this.maxRecordBytes = maxRecordBytes;
    this.refusal = refusal;
    this.failuresTopic = failuresTopic;
    this.recordKey = recordKey;
    this.failures = new FailureSerializer(maxRecordBytes, format, failuresTopic);
  }

  @Override
  public ProducerRecord<byte[], byte[]> serialize(
      T event, KafkaSinkContext context, Long timestamp) {
    RecordContext carried = Contexts.of(event);
    byte[] keyBytes = key(carried, key.serialize(event));
    byte[] valueBytes = value.serialize(event);
    long size = RecordSize.of(keyBytes, valueBytes) + Contexts.bytes(carried);
    if (refusal == null || size <= maxRecordBytes) {
      return record(topic, timestamp, keyBytes, valueBytes, carried);
    }
    FailureEvent failure =
        refusal.of(
            event,
            "has %d bytes, too many for a Kafka record: topic %s takes at most %d."
                .formatted(size, topic, maxRecordBytes));
    return record(
        failuresTopic,
        timestamp,
        key(failure.getContext(), FailureSerializer.key(failure)),
        failures.serialize(failure),
        failure.getContext());
  }

  private byte[] key(RecordContext carried, byte[] id) {
    byte[] ofRequest = recordKey == RecordKey.REQUEST ? Contexts.key(carried) : null;
    return ofRequest == null ? id : ofRequest;
  }

  /** Flink gives a negative timestamp to events without one. */
  private static ProducerRecord<byte[], byte[]> record(
      String topic, Long timestamp, byte[] key, byte[] value, RecordContext carried) {
    ProducerRecord<byte[], byte[]> record =
        new ProducerRecord<>(
            topic, null, timestamp == null || timestamp < 0 ? null : timestamp, key, value);
    if (carried != null) {
      carried.getHeaders().forEach((name, of) -> record.headers().add(name, Contexts.copy(of)));
    }
    return record;
  }

  /** Also tells the sink on which topics to look for transactions that an attempt left open. */
  @Override
  public Optional<KafkaDatasetFacet> getKafkaDatasetFacet() {
    return Optional.of(
        new DefaultKafkaDatasetFacet(
            DefaultKafkaDatasetIdentifier.ofTopics(
                failuresTopic == null ? List.of(topic) : List.of(topic, failuresTopic))));
  }
}
