package io.github.flinkdiffusion.connector.kafka.internal;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordPosition;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.kafka.Decoded;
import java.nio.ByteBuffer;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/** One Kafka record in, one {@link Decoded} out, whatever the record holds. */
public final class EventDeserializer<T extends SpecificRecord>
    implements KafkaRecordDeserializationSchema<Decoded<T>> {
  private static final long serialVersionUID = 1L;
  private static final byte[] NOTHING = {};

  private final Class<T> eventClass;

  public EventDeserializer(Class<T> eventClass) {
    this.eventClass = eventClass;
  }

  @Override
  public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Decoded<T>> out) {
    out.collect(decode(record));
  }

  Decoded<T> decode(ConsumerRecord<byte[], byte[]> record) {
    if (record.value() == null) {
      return undecodable(
          record,
          NOTHING,
          "The record has no value (a tombstone), and a request can not be taken back that way.");
    }
    try {
      T event = EventCodec.of(eventClass).decode(record.value());
      RecordPosition origin =
          new RecordPosition(record.topic(), record.partition(), record.offset());
      if (event instanceof PromptEvent prompt) {
        prompt.setOrigin(origin);
      } else if (event instanceof ImageTaskEvent task) {
        task.setOrigin(origin);
      }
      return Decoded.event(event);
    } catch (UndecodableEventException e) {
      return undecodable(record, record.value(), e.getMessage());
    }
  }

  private Decoded<T> undecodable(
      ConsumerRecord<byte[], byte[]> record, byte[] original, String why) {
    return Decoded.failure(
        FailureEvent.newBuilder()
            .setReason(FailureReason.UNDECODABLE)
            .setMessage(
                "Cannot read a %s from topic %s, partition %d, offset %d: %s"
                    .formatted(
                        eventClass.getSimpleName(),
                        record.topic(),
                        record.partition(),
                        record.offset(),
                        why))
            .setOriginal(ByteBuffer.wrap(original))
            .setTopic(record.topic())
            .setPartition(record.partition())
            .setOffset(record.offset())
            .build());
  }

  @Override
  public TypeInformation<Decoded<T>> getProducedType() {
    return DecodedTypeInfo.forEvent(eventClass);
  }
}
