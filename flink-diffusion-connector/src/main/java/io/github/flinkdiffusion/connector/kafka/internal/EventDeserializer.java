package io.github.flinkdiffusion.connector.kafka.internal;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureMessages;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Originals;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordPosition;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.kafka.Decoded;
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

  /** A record from this size on is itself the likely reason when the heap does not suffice. */
  private static final int LARGE_RECORD_BYTES = 1 << 20;

  private final Class<T> eventClass;
  private final int maxOriginalBytes;

  /**
   * @param maxOriginalBytes most bytes of a record that a failure holds
   */
  public EventDeserializer(Class<T> eventClass, int maxOriginalBytes) {
    this.eventClass = eventClass;
    this.maxOriginalBytes = maxOriginalBytes;
  }

  @Override
  public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Decoded<T>> out) {
    out.collect(decode(record));
  }

  Decoded<T> decode(ConsumerRecord<byte[], byte[]> record) {
    if (record.value() == null) {
      return failure(
          record,
          NOTHING,
          FailureReason.UNDECODABLE,
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
      return failure(record, record.value(), FailureReason.UNDECODABLE, e.getMessage());
    } catch (StackOverflowError e) {
      return failure(
          record,
          record.value(),
          FailureReason.UNDECODABLE,
          "The bytes are nested more deeply than can be read.");
    } catch (OutOfMemoryError e) {
      if (record.value().length < LARGE_RECORD_BYTES) {
        throw e; // something else took the heap
      }
      return failure(
          record,
          record.value(),
          FailureReason.OUT_OF_MEMORY,
          "The heap does not suffice for its %d bytes. Send large images beside Kafka."
              .formatted(record.value().length));
    }
  }

  private Decoded<T> failure(
      ConsumerRecord<byte[], byte[]> record, byte[] original, FailureReason reason, String why) {
    return Decoded.failure(
        Originals.set(FailureEvent.newBuilder(), original, maxOriginalBytes)
            .setReason(reason)
            .setMessage(
                FailureMessages.safe(
                    "Cannot read a %s from topic %s, partition %d, offset %d: %s"
                        .formatted(
                            eventClass.getSimpleName(),
                            record.topic(),
                            record.partition(),
                            record.offset(),
                            why),
                    null))
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
