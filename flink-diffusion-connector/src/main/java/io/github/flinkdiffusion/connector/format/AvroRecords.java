/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.format;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.util.TokenBuffer;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.event.WireCheck;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Collection;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.Schema.Field;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericFixed;
import org.apache.avro.generic.IndexedRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.specific.SpecificRecord;

/**
 * Reads Avro records that were written with somebody's own schema: its fields are taken by name and
 * read by the rules of {@link EventJson}, so a schema with {@code prompt} alone is enough. A field
 * that is null counts as left out.
 */
final class AvroRecords {
  private AvroRecords() {}

  /**
   * The event in the bytes that remain.
   *
   * @param writer the schema that they were written with
   * @throws UndecodableEventException when they do not fit it, or are no such event
   */
  static <T extends SpecificRecord> T read(
      Schema writer, ByteBuffer body, EventJson<T> event, String idOfRecord)
      throws UndecodableEventException {
    if (writer.getType() != Schema.Type.RECORD) {
      throw new UndecodableEventException(
          "Its schema is of type %s; a record is expected.".formatted(writer.getType()));
    }
    WireCheck.check(writer, body);
    try (TokenBuffer tokens = new TokenBuffer(null, false)) {
      Object record =
          new GenericDatumReader<>(writer)
              .read(
                  null,
                  DecoderFactory.get()
                      .binaryDecoder(
                          body.array(),
                          body.arrayOffset() + body.position(),
                          body.remaining(),
                          null));
      write(tokens, record);
      return event.read(tokens.asParser(), idOfRecord);
    } catch (IOException | RuntimeException e) {
      throw new UndecodableEventException(
          "The bytes do not hold a record of the schema %s: %s"
              .formatted(writer.getFullName(), e.getMessage()),
          e);
    }
  }

  private static void write(JsonGenerator out, Object value) throws IOException {
    if (value instanceof IndexedRecord record) {
      out.writeStartObject();
      for (Field field : record.getSchema().getFields()) {
        Object of = record.get(field.pos());
        if (of != null) {
          out.writeFieldName(field.name());
          write(out, of);
        }
      }
      out.writeEndObject();
    } else if (value instanceof Map<?, ?> map) {
      out.writeStartObject();
      for (Map.Entry<?, ?> entry : map.entrySet()) {
        out.writeFieldName(entry.getKey().toString());
        write(out, entry.getValue());
      }
      out.writeEndObject();
    } else if (value instanceof Collection<?> items) {
      out.writeStartArray();
      for (Object item : items) {
        write(out, item);
      }
      out.writeEndArray();
    } else if (value instanceof ByteBuffer bytes) {
      byte[] copy = new byte[bytes.remaining()];
      bytes.duplicate().get(copy);
      out.writeBinary(copy);
    } else if (value instanceof GenericFixed fixed) {
      out.writeBinary(fixed.bytes());
    } else if (value == null) {
      out.writeNull();
    } else if (value instanceof Boolean truth) {
      out.writeBoolean(truth);
    } else if (value instanceof Integer number) {
      out.writeNumber(number);
    } else if (value instanceof Long number) {
      out.writeNumber(number);
    } else if (value instanceof Float number) {
      out.writeNumber(number);
    } else if (value instanceof Double number) {
      out.writeNumber(number);
    } else {
      out.writeString(value.toString()); // texts and symbols of enums
    }
  }
}
