/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import io.github.flinkdiffusion.connector.format.FormatSettings;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.util.function.SerializableFunction;

/** An event as the value of a Kafka record, shortened when it would not fit. */
@Internal
public final class ShorteningSerializer<T extends SpecificRecord>
    implements SerializationSchema<T> {
  private static final long serialVersionUID = 1L;

  private final EventSerializer<T> serializer;
  private final SerializationSchema<T> key;
  private final SerializableFunction<T, T> shorten;
  private final int maxRecordBytes;

  /**
   * @param shorten makes an event that fits into the smallest record that a sink may be set to
   */
  public ShorteningSerializer(
      Class<T> eventClass,
      SerializationSchema<T> key,
      SerializableFunction<T, T> shorten,
      int maxRecordBytes,
      FormatSettings format,
      String topic) {
    this.serializer = new EventSerializer<>(eventClass, format, topic);
    this.key = key;
    this.shorten = shorten;
    this.maxRecordBytes = maxRecordBytes;
  }

  @Override
  public byte[] serialize(T event) {
    byte[] bytes = serializer.serialize(event);
    return RecordSize.of(key.serialize(event), bytes) <= maxRecordBytes
        ? bytes
        : serializer.serialize(shorten.apply(event));
  }
}
