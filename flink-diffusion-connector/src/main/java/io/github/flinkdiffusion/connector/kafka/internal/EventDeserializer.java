/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureMessages;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Originals;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordContext;
import io.github.flinkdiffusion.connector.event.RecordPosition;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.format.EventReader;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import io.github.flinkdiffusion.connector.kafka.Decoded;
import io.github.flinkdiffusion.connector.kafka.EventHeaders;
import java.util.ArrayList;
import java.util.List;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/** One Kafka record in, one {@link Decoded} out, whatever the record holds. */
@Internal
public final class EventDeserializer<T extends SpecificRecord>
    implements KafkaRecordDeserializationSchema<Decoded<T>> {
  private static final long serialVersionUID = 1L;
  private static final byte[] NOTHING = {};

  /** A record from this size on is itself the likely reason when the heap does not suffice. */
  private static final int LARGE_RECORD_BYTES = 1 << 20;

  private final Class<T> eventClass;
  private final int maxOriginalBytes;
  private final FormatSettings format;
  private final List<String> headers;
  private transient EventReader<T> reader;

  /**
   * @param maxOriginalBytes most bytes of a record that a failure holds
   * @param format of the values
   * @param headers that events carry
   */
  public EventDeserializer(
      Class<T> eventClass, int maxOriginalBytes, FormatSettings format, List<String> headers) {
    this.eventClass = eventClass;
    this.maxOriginalBytes = maxOriginalBytes;
    this.format = format;
    this.headers = new ArrayList<>(Contexts.withOwn(headers));
  }

  @Override
  public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Decoded<T>> out) {
    out.collect(decode(record));
  }

  Decoded<T> decode(ConsumerRecord<byte[], byte[]> record) {
    RecordContext context;
    try {
      context = Contexts.of(record, headers);
    } catch (UndecodableEventException e) {
      byte[] value = record.value() == null ? NOTHING : record.value();
      return failure(record, null, value, FailureReason.UNDECODABLE, e.getMessage());
    }
    if (record.value() == null) {
      return failure(
          record,
          context,
          NOTHING,
          FailureReason.UNDECODABLE,
          "The record has no value (a tombstone), which does not cancel a request. Send a"
              + " CancelEvent to cancel one.");
    }
    try {
      if (reader == null) {
        reader = format.reader(eventClass);
      }
      T event = reader.read(record.value(), id(record, context));
      Contexts.set(event, context);
      RecordPosition origin =
          new RecordPosition(record.topic(), record.partition(), record.offset());
      if (event instanceof PromptEvent prompt) {
        prompt.setOrigin(origin);
      } else if (event instanceof ImageTaskEvent task) {
        task.setOrigin(origin);
      }
      return Decoded.event(event);
    } catch (UndecodableEventException e) {
      return failure(record, context, record.value(), FailureReason.UNDECODABLE, e.getMessage());
    } catch (StackOverflowError e) {
      return failure(
          record,
          context,
          record.value(),
          FailureReason.UNDECODABLE,
          "The value is nested too deeply.");
    } catch (OutOfMemoryError e) {
      if (record.value().length < LARGE_RECORD_BYTES) {
        throw e; // something else took the heap
      }
      return failure(
          record,
          context,
          record.value(),
          FailureReason.OUT_OF_MEMORY,
          "There is not enough heap memory for its %d bytes. Send large images by reference."
              .formatted(record.value().length));
    }
  }

  /**
   * The name of a request that has none: its place, the same whenever it is read; the place that it
   * had before, where it was sent again.
   */
  private static String id(ConsumerRecord<byte[], byte[]> record, RecordContext context) {
    String before = Contexts.text(context, EventHeaders.ID);
    return before == null
        ? "%s-%d-%d".formatted(record.topic(), record.partition(), record.offset())
        : before;
  }

  private Decoded<T> failure(
      ConsumerRecord<byte[], byte[]> record,
      RecordContext context,
      byte[] original,
      FailureReason reason,
      String why) {
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
            .setContext(context)
            .build());
  }

  @Override
  public TypeInformation<Decoded<T>> getProducedType() {
    return DecodedTypeInfo.forEvent(eventClass);
  }
}
