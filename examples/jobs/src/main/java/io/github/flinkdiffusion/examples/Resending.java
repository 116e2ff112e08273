/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordContext;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.format.EventFormat;
import io.github.flinkdiffusion.connector.format.EventJson;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import io.github.flinkdiffusion.connector.kafka.EventHeaders;
import java.nio.ByteBuffer;
import java.util.Optional;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;

/** Makes the record of a request again from its failure. Pure but for the reading of originals. */
final class Resending {
  /** Reads one record of a topic; empty when Kafka does not have it any more. */
  interface Originals {
    Optional<ConsumerRecord<byte[], byte[]>> at(String topic, int partition, long offset);
  }

  /** Why a failure cannot be sent again, as a sentence without its end. */
  static final class NotPossibleException extends Exception {
    private static final long serialVersionUID = 1L;

    NotPossibleException(String message) {
      super(message);
    }
  }

  private final String topic;
  private final FormatSettings format;
  private final int mostTimes;
  private final Originals originals;

  /**
   * @param topic where all go; null for that which each came from
   * @param format null for that which each has
   * @param mostTimes how often one request may be sent again
   */
  Resending(String topic, FormatSettings format, int mostTimes, Originals originals) {
    this.topic = topic;
    this.format = format;
    this.mostTimes = mostTimes;
    this.originals = originals;
  }

  /**
   * The request's record: its bytes, its key, its headers, how often it was sent again, and its id
   * where its bytes have none.
   *
   * @throws NotPossibleException when it cannot be made or was sent often enough
   */
  ProducerRecord<byte[], byte[]> record(FailureEvent failure) throws NotPossibleException {
    String to = topic == null ? failure.getTopic() : topic;
    if (to == null) {
      throw new NotPossibleException("it does not name the topic that it came from; add --to");
    }
    RecordContext context = failure.getContext();
    int times = times(context);
    if (times >= mostTimes) {
      throw new NotPossibleException(
          "it was sent again %d times already; --most-times allows more".formatted(times));
    }
    String id = id(failure);
    byte[] value = inFormat(original(failure), id, to);
    byte[] key = context == null || context.getKey() == null ? null : copy(context.getKey());
    ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(to, key, value);
    if (context != null) {
      context
          .getHeaders()
          .forEach(
              (name, header) -> {
                if (!name.startsWith("diffusion-")) {
                  record.headers().add(name, copy(header));
                }
              });
    }
    record.headers().add(EventHeaders.RESENT, Integer.toString(times + 1).getBytes(UTF_8));
    if (id != null) {
      record.headers().add(EventHeaders.ID, id.getBytes(UTF_8));
    }
    return record;
  }

  private static int times(RecordContext context) throws NotPossibleException {
    ByteBuffer header = context == null ? null : context.getHeaders().get(EventHeaders.RESENT);
    String times = header == null ? "0" : new String(copy(header), UTF_8);
    if (!times.matches("[0-9]{1,6}")) {
      throw new NotPossibleException(
          "its header %s is '%s'; a number is expected".formatted(EventHeaders.RESENT, times));
    }
    return Integer.parseInt(times);
  }

  /** For requests whose bytes have no id: the one that they had, or would have had. */
  private static String id(FailureEvent failure) {
    RecordContext context = failure.getContext();
    ByteBuffer before = context == null ? null : context.getHeaders().get(EventHeaders.ID);
    if (before != null) {
      return new String(copy(before), UTF_8);
    }
    return failure.getId() != null || failure.getOffset() == null
        ? failure.getId()
        : "%s-%d-%d".formatted(failure.getTopic(), failure.getPartition(), failure.getOffset());
  }

  private byte[] original(FailureEvent failure) throws NotPossibleException {
    byte[] bytes = copy(failure.getOriginal());
    if (failure.getOriginalSize() == null) {
      if (bytes.length == 0) {
        throw new NotPossibleException("it holds no request");
      }
      return bytes;
    }
    if (failure.getOffset() == null) {
      throw new NotPossibleException(
          "its request is truncated, and it does not name the place that the request was read"
              + " from");
    }
    byte[] value =
        originals
            .at(failure.getTopic(), failure.getPartition(), failure.getOffset())
            .map(ConsumerRecord::value)
            .orElseThrow(
                () ->
                    new NotPossibleException(
                        "its request is truncated, and Kafka no longer has topic %s, partition %d, offset %d"
                            .formatted(
                                failure.getTopic(), failure.getPartition(), failure.getOffset())));
    boolean same =
        value.length == failure.getOriginalSize()
            && Payloads.sha256(value).equals(failure.getOriginalSha256());
    if (!same && !requestId(value).equals(Optional.ofNullable(failure.getId()))) {
      throw new NotPossibleException(
          "its request is truncated, and topic %s, partition %d, offset %d holds another record now"
              .formatted(failure.getTopic(), failure.getPartition(), failure.getOffset()));
    }
    return value;
  }

  /** Empty when it cannot be read or has none. */
  private static Optional<String> requestId(byte[] value) {
    return request(value, "")
        .map(
            request ->
                request instanceof PromptEvent prompt
                    ? prompt.getId()
                    : ((ImageTaskEvent) request).getId())
        .filter(id -> !id.isEmpty());
  }

  private static Optional<SpecificRecord> request(byte[] value, String idOfRecord) {
    try {
      SpecificRecord event = EventCodec.decodeAny(value);
      return Optional.of(event)
          .filter(e -> e instanceof PromptEvent || e instanceof ImageTaskEvent);
    } catch (UndecodableEventException notAvro) {
      try {
        return Optional.of(EventJson.of(ImageTaskEvent.class).read(value, idOfRecord));
      } catch (UndecodableEventException notATask) {
        try {
          return Optional.of(EventJson.of(PromptEvent.class).read(value, idOfRecord));
        } catch (UndecodableEventException notAPrompt) {
          return Optional.empty();
        }
      }
    }
  }

  /** Bytes that are no request stay as they are: whoever reads them may be able to by now. */
  private byte[] inFormat(byte[] value, String id, String to) {
    if (format == null) {
      return value;
    }
    SpecificRecord request = request(value, id).orElse(null);
    boolean json = value.length > 0 && value[0] == '{';
    if (request == null
        || format.format() == EventFormat.JSON && json
        || format.format() == EventFormat.AVRO && !json) {
      return value;
    }
    return request instanceof PromptEvent prompt
        ? format.writer(PromptEvent.class, to).write(prompt)
        : format.writer(ImageTaskEvent.class, to).write((ImageTaskEvent) request);
  }

  private static byte[] copy(ByteBuffer buffer) {
    byte[] bytes = new byte[buffer.remaining()];
    buffer.duplicate().get(bytes);
    return bytes;
  }
}
