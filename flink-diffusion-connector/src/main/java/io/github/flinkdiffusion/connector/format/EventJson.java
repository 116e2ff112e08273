/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.format;

import com.fasterxml.jackson.core.Base64Variants;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.event.Utf8;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.Collection;
import java.util.Map;
import java.util.regex.Pattern;
import org.apache.avro.Schema;
import org.apache.avro.Schema.Field;
import org.apache.avro.specific.SpecificData;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.annotation.Internal;

/**
 * An event as a JSON object: its Avro record, field by field. Bytes are base64, null may be left
 * out, so may each field with a default, and of a request the id. {@link JsonSchemas} says the same
 * as a JSON Schema.
 *
 * <p>Bytes are untrusted. What is read is built while it is read, never larger than a small
 * multiple of the bytes, and a value that is not exactly what a field takes is refused by name: a
 * number out of range, a key that stands twice, half of a surrogate pair.
 *
 * <p>Immutable and safe for use by several threads.
 *
 * @param <T> the event
 */
@Internal
public final class EventJson<T extends SpecificRecord> {
  private static final int MAX_DEPTH = 32;
  static final String ATTRIBUTES = "attributes";

  /** Jackson's messages name its own settings in place of a text that they do not repeat. */
  private static final Pattern SOURCE =
      Pattern.compile("\\[Source: REDACTED[^;]*; (line: \\d+, column: \\d+)\\]");

  /** As long as a record may be: its own size bounds it. */
  static final JsonFactory FACTORY =
      JsonFactory.builder()
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxNestingDepth(MAX_DEPTH)
                  .maxStringLength(Integer.MAX_VALUE)
                  .build())
          .build()
          .setCodec(new ObjectMapper());

  private final Class<T> eventClass;
  private final Schema schema;
  private final UnknownFields unknownFields;

  private EventJson(Class<T> eventClass, UnknownFields unknownFields) {
    this.eventClass = eventClass;
    this.schema = SpecificData.get().getSchema(eventClass);
    this.unknownFields = unknownFields;
  }

  /** For events that are refused where they have a field that is not known. */
  public static <T extends SpecificRecord> EventJson<T> of(Class<T> eventClass) {
    return of(eventClass, UnknownFields.REFUSE);
  }

  /**
   * @param unknownFields of an event without attributes they are refused all the same
   */
  public static <T extends SpecificRecord> EventJson<T> of(
      Class<T> eventClass, UnknownFields unknownFields) {
    EventCodec.of(eventClass); // refuses what is no event
    boolean room = EventCodec.schemaOf(eventClass).getField(ATTRIBUTES) != null;
    return new EventJson<>(eventClass, room ? unknownFields : UnknownFields.REFUSE);
  }

  // ---------------------------------------------------------------- writing

  /**
   * The event as one line of UTF-8.
   *
   * @throws IllegalArgumentException when a field that must have a value has none
   */
  public byte[] write(T event) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (JsonGenerator out = FACTORY.createGenerator(bytes)) {
      write(out, schema, event, eventClass.getSimpleName());
    } catch (IOException e) {
      throw new UncheckedIOException(e); // of a stream in memory: cannot be
    }
    return bytes.toByteArray();
  }

  private static void write(JsonGenerator out, Schema schema, Object value, String where)
      throws IOException {
    if (value == null) {
      throw new IllegalArgumentException(
          "Cannot write %s as JSON: it has no value.".formatted(where));
    }
    switch (schema.getType()) {
      case RECORD -> writeRecord(out, schema, (SpecificRecord) value, where);
      case MAP -> {
        out.writeStartObject();
        for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
          out.writeFieldName(entry.getKey().toString());
          write(out, schema.getValueType(), entry.getValue(), where);
        }
        out.writeEndObject();
      }
      case ARRAY -> {
        out.writeStartArray();
        for (Object item : (Collection<?>) value) {
          write(out, schema.getElementType(), item, where);
        }
        out.writeEndArray();
      }
      case UNION ->
          write(
              out,
              schema.getTypes().get(SpecificData.get().resolveUnion(schema, value)),
              value,
              where);
      case BYTES -> writeBytes(out, (ByteBuffer) value);
      case STRING, ENUM -> out.writeString(value.toString());
      case INT -> out.writeNumber((int) value);
      case LONG -> out.writeNumber((long) value);
      case DOUBLE -> writeDouble(out, (double) value, where);
      case BOOLEAN -> out.writeBoolean((boolean) value);
      default -> throw new IllegalStateException(where + " is a " + schema.getType());
    }
  }

  private static void writeRecord(
      JsonGenerator out, Schema schema, SpecificRecord record, String where) throws IOException {
    out.writeStartObject();
    for (Field field : EventFields.visible(schema)) {
      Object value = record.get(field.pos());
      boolean nullable = field.schema().isNullable();
      // JSON has no such numbers, and what is not a number says as little as nothing.
      boolean nothing = value == null || value instanceof Double d && !Double.isFinite(d);
      if (nullable && nothing) {
        continue;
      }
      out.writeFieldName(field.name());
      write(out, field.schema(), value, where + "." + field.name());
    }
    out.writeEndObject();
  }

  private static void writeBytes(JsonGenerator out, ByteBuffer bytes) throws IOException {
    if (bytes.hasArray()) {
      out.writeBinary(
          Base64Variants.MIME_NO_LINEFEEDS,
          bytes.array(),
          bytes.arrayOffset() + bytes.position(),
          bytes.remaining());
    } else {
      byte[] copy = new byte[bytes.remaining()];
      bytes.duplicate().get(copy);
      out.writeBinary(Base64Variants.MIME_NO_LINEFEEDS, copy, 0, copy.length);
    }
  }

  private static void writeDouble(JsonGenerator out, double value, String where)
      throws IOException {
    if (!Double.isFinite(value)) {
      throw new IllegalArgumentException(
          "Cannot write %s as JSON, which has no number %s.".formatted(where, value));
    }
    out.writeNumber(value);
  }

  // ---------------------------------------------------------------- reading

  /**
   * The event in these bytes.
   *
   * @param json one object in UTF-8
   * @param idOfRecord the id of a request that has none; null where each must have one
   * @throws UndecodableEventException naming the field that is not as it should be
   */
  public T read(byte[] json, String idOfRecord) throws UndecodableEventException {
    if (!Utf8.isValid(ByteBuffer.wrap(json))) {
      throw new UndecodableEventException("The bytes are not a JSON object: they are not UTF-8.");
    }
    try (JsonParser in = FACTORY.createParser(json)) {
      return read(in, idOfRecord);
    } catch (IOException e) {
      throw new UndecodableEventException("Cannot read the bytes: " + e.getMessage(), e);
    }
  }

  /**
   * The event that a parser gives.
   *
   * @param in before its first token; it must end after the event
   */
  T read(JsonParser in, String idOfRecord) throws UndecodableEventException {
    try {
      JsonReading reading = new JsonReading(in, unknownFields);
      JsonToken first = in.nextToken();
      if (first != JsonToken.START_OBJECT) {
        throw new UndecodableEventException(
            "Expected a JSON object such as %s, found %s."
                .formatted(example(), first == null ? "nothing" : reading.shown()));
      }
      T event = eventClass.cast(reading.event(schema, idOfRecord));
      if (in.nextToken() != null) {
        throw new UndecodableEventException(
            "The JSON object is followed by more text; a record holds one %s."
                .formatted(schema.getName()));
      }
      return event;
    } catch (JsonProcessingException e) {
      throw new UndecodableEventException(
          "The JSON is not well-formed at column %d: %s"
              .formatted(
                  e.getLocation() == null ? 0 : e.getLocation().getColumnNr(),
                  JsonReading.shortened(SOURCE.matcher(e.getOriginalMessage()).replaceAll("$1"))),
          e);
    } catch (IOException e) {
      throw new UndecodableEventException("Cannot read the JSON: " + e.getMessage(), e);
    }
  }

  private String example() {
    return schema.getField("prompt") != null && schema.getField("image") == null
        ? "{\"prompt\": \"a red fox\"}"
        : "{\"id\": \"order-17\", ...}";
  }
}
