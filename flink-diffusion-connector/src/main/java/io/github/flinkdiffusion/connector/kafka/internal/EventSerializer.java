/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import io.github.flinkdiffusion.connector.format.EventWriter;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.serialization.SerializationSchema;

/** An event as the value of a Kafka record. */
@Internal
public final class EventSerializer<T extends SpecificRecord> implements SerializationSchema<T> {
  private static final long serialVersionUID = 1L;

  private final Class<T> eventClass;
  private final FormatSettings format;
  private final String topic;
  private transient EventWriter<T> writer;

  /**
   * @param topic that the values are for
   */
  public EventSerializer(Class<T> eventClass, FormatSettings format, String topic) {
    this.eventClass = eventClass;
    this.format = format;
    this.topic = topic;
  }

  @Override
  public byte[] serialize(T event) {
    if (writer == null) {
      writer = format.writer(eventClass, topic);
    }
    return writer.write(event);
  }
}
