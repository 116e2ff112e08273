package io.github.flinkdiffusion.connector.kafka.internal;

import io.github.flinkdiffusion.connector.event.EventCodec;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.api.common.serialization.SerializationSchema;

/** An event as the value of a Kafka record. */
public final class EventSerializer<T extends SpecificRecord> implements SerializationSchema<T> {
  private static final long serialVersionUID = 1L;

  private final Class<T> eventClass;

  public EventSerializer(Class<T> eventClass) {
    this.eventClass = eventClass;
  }

  @Override
  public byte[] serialize(T event) {
    return EventCodec.of(eventClass).encode(event);
  }
}
