/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.event;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HexFormat;
import java.util.List;
import org.apache.avro.AvroRuntimeException;
import org.apache.avro.Schema;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.BinaryMessageEncoder;
import org.apache.avro.specific.SpecificData;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.annotation.Internal;
import org.apache.flink.annotation.PublicEvolving;
import org.jspecify.annotations.NullMarked;

/**
 * An event as bytes and back, in Avro's <a
 * href="https://avro.apache.org/docs/1.12.0/specification/#single-object-encoding">single-object
 * encoding</a>: the two bytes {@code c3 01}, eight bytes of schema fingerprint (CRC-64-AVRO, little
 * endian), the record.
 *
 * <p>The fingerprint says which version of the schema the sender wrote with; fields that it did not
 * know yet get their defaults. Bytes are untrusted: decoding never allocates more than a small
 * multiple of what it was given, and never throws anything but {@link UndecodableEventException}.
 *
 * <p>Immutable and safe for use by several threads. Not serializable: in a Flink function, take it
 * from its method when it is needed.
 *
 * @param <T> the event
 */
@NullMarked
@PublicEvolving
public final class EventCodec<T extends SpecificRecord> {
  private static final EventCodec<PromptEvent> PROMPTS = new EventCodec<>(PromptEvent.class);
  private static final EventCodec<ImageTaskEvent> IMAGE_TASKS =
      new EventCodec<>(ImageTaskEvent.class);
  private static final EventCodec<ImageEvent> IMAGES = new EventCodec<>(ImageEvent.class);
  private static final EventCodec<TextEvent> TEXTS = new EventCodec<>(TextEvent.class);
  private static final EventCodec<FailureEvent> FAILURES = new EventCodec<>(FailureEvent.class);
  private static final EventCodec<ProgressEvent> PROGRESS = new EventCodec<>(ProgressEvent.class);
  private static final EventCodec<CancelEvent> CANCELLATIONS = new EventCodec<>(CancelEvent.class);
  private static final EventCodec<ModelEvent> MODELS = new EventCodec<>(ModelEvent.class);
  private static final EventCodec<VoteEvent> VOTES = new EventCodec<>(VoteEvent.class);

  private static final List<EventCodec<?>> ALL =
      List.of(
          PROMPTS, IMAGE_TASKS, IMAGES, TEXTS, FAILURES, PROGRESS, CANCELLATIONS, MODELS, VOTES);

  private static final byte[] MARKER = {(byte) 0xC3, 0x01};
  private static final int HEADER_BYTES = MARKER.length + Long.BYTES;

  private final Class<T> eventClass;
  private final SchemaHistory history;
  private final BinaryMessageEncoder<T> encoder;
  private final BinaryMessageDecoder<T> decoder;

  private EventCodec(Class<T> eventClass) {
    this.eventClass = eventClass;
    this.history = SchemaHistory.of(eventClass);
    SpecificData data = SpecificData.getForClass(eventClass);
    Schema today = data.getSchema(eventClass);
    // Not copied: what it gives is copied from its thread's buffer at once.
    this.encoder = new BinaryMessageEncoder<>(data, today, false);
    this.decoder = new BinaryMessageDecoder<>(data, today, history);
  }

  /** Requests to generate an image from text. */
  public static EventCodec<PromptEvent> prompts() {
    return PROMPTS;
  }

  /** Requests to generate an image from another one. */
  public static EventCodec<ImageTaskEvent> imageTasks() {
    return IMAGE_TASKS;
  }

  /** Finished images. */
  public static EventCodec<ImageEvent> images() {
    return IMAGES;
  }

  /** Finished texts. */
  public static EventCodec<TextEvent> texts() {
    return TEXTS;
  }

  /** Records that could not be done. */
  public static EventCodec<FailureEvent> failures() {
    return FAILURES;
  }

  /** How far requests have come. */
  public static EventCodec<ProgressEvent> progress() {
    return PROGRESS;
  }

  /** Cancellations of requests. */
  public static EventCodec<CancelEvent> cancellations() {
    return CANCELLATIONS;
  }

  /** Versions of models that requests begin on. */
  public static EventCodec<ModelEvent> models() {
    return MODELS;
  }

  /** What people found better. */
  public static EventCodec<VoteEvent> votes() {
    return VOTES;
  }

  /**
   * The codec of an event known by its class, for code that has to travel between machines.
   *
   * @param <T> the event
   * @param eventClass one of the events' classes
   * @throws IllegalArgumentException when it is none of these events
   */
  @SuppressWarnings("unchecked") // the class compared is the codec's type argument
  public static <T extends SpecificRecord> EventCodec<T> of(Class<T> eventClass) {
    for (EventCodec<?> codec : ALL) {
      if (codec.eventClass == eventClass) {
        return (EventCodec<T>) codec;
      }
    }
    throw new IllegalArgumentException(
        eventClass.getName() + " is not an event; expected one of " + names());
  }

  private static List<String> names() {
    return ALL.stream().map(codec -> codec.eventClass.getSimpleName()).toList();
  }

  /**
   * The event in these bytes, of whatever kind: the schema's fingerprint tells.
   *
   * @throws UndecodableEventException when they are none
   */
  public static SpecificRecord decodeAny(byte[] bytes) throws UndecodableEventException {
    if (startsWithMarker(bytes)) {
      for (EventCodec<?> codec : ALL) {
        if (codec.history.findByFingerprint(fingerprint(bytes)) != null) {
          return codec.decode(bytes);
        }
      }
    }
    throw new UndecodableEventException(
        ("%d bytes that start with [%s] are not an event in Avro's single-object encoding; expected"
                + " one of %s.")
            .formatted(bytes.length, firstBytes(bytes), names()));
  }

  /**
   * Today's schema of an event, as its resource has it: without what Java adds.
   *
   * @throws IllegalArgumentException when it is none of these events
   */
  @Internal
  public static Schema schemaOf(Class<?> eventClass) {
    for (EventCodec<?> codec : ALL) {
      if (codec.eventClass == eventClass) {
        return codec.history.versions().get(codec.history.versions().size() - 1).schema();
      }
    }
    throw new IllegalArgumentException(
        eventClass.getName() + " is not an event; expected one of " + names());
  }

  /**
   * The event as a record of {@link #schemaOf} and nothing else, behind room for a header.
   *
   * @param headerBytes how much room
   * @throws IllegalArgumentException when a field that must have a value has none
   */
  @Internal
  public byte[] encodeBehind(T event, int headerBytes) {
    byte[] encoded = encode(event);
    byte[] framed = new byte[headerBytes + encoded.length - HEADER_BYTES];
    System.arraycopy(encoded, HEADER_BYTES, framed, headerBytes, encoded.length - HEADER_BYTES);
    return framed;
  }

  /** The class of the events, for Flink's type information. */
  public Class<T> eventClass() {
    return eventClass;
  }

  /**
   * The event as bytes, written with today's schema.
   *
   * @throws IllegalArgumentException when a field that must have a value has none
   */
  public byte[] encode(T event) {
    try {
      ByteBuffer encoded = encoder.encode(event);
      byte[] bytes = new byte[encoded.remaining()];
      encoded.get(bytes);
      return bytes;
    } catch (IOException | AvroRuntimeException | NullPointerException | ClassCastException e) {
      throw new IllegalArgumentException(
          "Cannot encode the %s: %s".formatted(eventClass.getSimpleName(), e.getMessage()), e);
    }
  }

  /**
   * The event in these bytes, whichever version of the schema they were written with.
   *
   * @throws UndecodableEventException when they are no such event
   */
  public T decode(byte[] bytes) throws UndecodableEventException {
    Schema writer = writerOf(bytes);
    try {
      WireCheck.check(writer, ByteBuffer.wrap(bytes, HEADER_BYTES, bytes.length - HEADER_BYTES));
    } catch (UndecodableEventException e) {
      throw new UndecodableEventException(
          "The record is corrupt: " + e.getMessage() + "; send the whole record as Avro wrote it.",
          e);
    }
    try {
      return decoder.decode(bytes, null);
    } catch (IOException | RuntimeException e) {
      throw new UndecodableEventException(
          "The bytes do not hold a %s: %s.".formatted(history.eventName(), e.getMessage()), e);
    }
  }

  private Schema writerOf(byte[] bytes) throws UndecodableEventException {
    if (!startsWithMarker(bytes)) {
      throw new UndecodableEventException(
          ("%d bytes that start with [%s] are not in Avro's single-object encoding, which starts"
                  + " with [c3 01] and a schema fingerprint of 8 bytes; encode a %s that way.")
              .formatted(bytes.length, firstBytes(bytes), history.eventName()));
    }
    long fingerprint = fingerprint(bytes);
    Schema writer = history.findByFingerprint(fingerprint);
    if (writer == null) {
      throw new UndecodableEventException(
          ("The schema fingerprint %016x is unknown for a %s; known are %s. Write with one of"
                  + " them, or update Flink Diffusion here if the sender's version is newer.")
              .formatted(fingerprint, history.eventName(), history.describe()));
    }
    return writer;
  }

  private static boolean startsWithMarker(byte[] bytes) {
    return bytes.length >= HEADER_BYTES && bytes[0] == MARKER[0] && bytes[1] == MARKER[1];
  }

  private static long fingerprint(byte[] bytes) {
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong(MARKER.length);
  }

  private static String firstBytes(byte[] bytes) {
    return HexFormat.ofDelimiter(" ").formatHex(bytes, 0, Math.min(bytes.length, 8));
  }
}
