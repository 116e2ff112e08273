/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.format;

import com.fasterxml.jackson.core.Base64Variants;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.options.Keys;
import java.io.IOException;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.Schema.Field;
import org.apache.avro.specific.SpecificData;
import org.apache.avro.specific.SpecificRecord;

/**
 * One event on its way from JSON to its record, field by field; what is not exactly what a field
 * takes is refused by the field's name.
 */
final class JsonReading {
  private static final int MAX_SHOWN = 80;

  private final JsonParser in;
  private final UnknownFields unknownFields;

  JsonReading(JsonParser in, UnknownFields unknownFields) {
    this.in = in;
    this.unknownFields = unknownFields;
  }

  SpecificRecord event(Schema schema, String idOfRecord)
      throws IOException, UndecodableEventException {
    Map<String, String> unknown = new LinkedHashMap<>();
    SpecificRecord event = record(schema, schema.getName(), idOfRecord, unknown);
    if (!unknown.isEmpty()) {
      keepAsAttributes(event, unknown);
    }
    return event;
  }

  @SuppressWarnings("unchecked") // attributes are texts in every event
  private static void keepAsAttributes(SpecificRecord event, Map<String, String> unknown)
      throws UndecodableEventException {
    Field field = event.getSchema().getField(EventJson.ATTRIBUTES);
    Map<String, String> attributes =
        new LinkedHashMap<>((Map<String, String>) event.get(field.pos()));
    for (Map.Entry<String, String> entry : unknown.entrySet()) {
      if (attributes.put(entry.getKey(), entry.getValue()) != null) {
        throw new UndecodableEventException(
            "The unknown field '%s' cannot become an attribute: there is an attribute of this name."
                .formatted(shortened(entry.getKey())));
      }
    }
    event.put(field.pos(), attributes);
  }

  /**
   * @param idOfRecord for the outermost record; null for those within
   * @param unknown gets what the outermost record does not have; null for those within
   */
  private SpecificRecord record(
      Schema schema, String where, String idOfRecord, Map<String, String> unknown)
      throws IOException, UndecodableEventException {
    SpecificRecord record = (SpecificRecord) SpecificData.get().newRecord(null, schema);
    BitSet seen = new BitSet();
    while (in.nextToken() != JsonToken.END_OBJECT) {
      String name = in.currentName();
      in.nextToken();
      Field field = schema.getField(name);
      if (field == null) {
        unknown(schema, where, name, unknown);
        continue;
      }
      if (seen.get(field.pos())) {
        throw refusal(where + "." + name, "stands twice");
      }
      seen.set(field.pos());
      if (EventFields.isInternal(schema, field)) {
        in.skipChildren(); // the source sets it, whatever the sender wrote
        record.put(field.pos(), SpecificData.get().getDefaultValue(field));
      } else {
        record.put(field.pos(), value(field.schema(), where + "." + name));
      }
    }
    for (Field field : schema.getFields()) {
      if (seen.get(field.pos())) {
        continue;
      }
      if (idOfRecord != null && EventFields.isDerivedId(schema, field)) {
        record.put(field.pos(), idOfRecord);
      } else if (field.hasDefaultValue()) {
        record.put(field.pos(), SpecificData.get().getDefaultValue(field));
      } else {
        throw refusal(where + "." + field.name(), "is missing");
      }
    }
    return record;
  }

  private void unknown(Schema schema, String where, String name, Map<String, String> unknown)
      throws IOException, UndecodableEventException {
    if (unknown == null || unknownFields == UnknownFields.REFUSE) {
      List<String> known = EventFields.visible(schema).stream().map(Field::name).toList();
      throw new UndecodableEventException(
          "%s has no field %s; its fields are %s."
              .formatted(
                  where, Keys.unknown(List.of(shortened(name)), known), String.join(", ", known)));
    }
    if (unknown.putIfAbsent(name, asText()) != null) {
      throw refusal(where + "." + name, "stands twice");
    }
  }

  /** A text as it is, all else as JSON, no longer than it was. */
  private String asText() throws IOException, UndecodableEventException {
    if (in.currentToken() == JsonToken.VALUE_STRING) {
      return text("An unknown field");
    }
    StringWriter text = new StringWriter();
    try (JsonGenerator out = EventJson.FACTORY.createGenerator(text)) {
      out.copyCurrentStructure(in);
    }
    return text.toString();
  }

  private Object value(Schema schema, String where) throws IOException, UndecodableEventException {
    return switch (schema.getType()) {
      case UNION -> union(schema, where);
      case RECORD -> {
        require(JsonToken.START_OBJECT, where, "an object");
        yield record(schema, where, null, null);
      }
      case MAP -> map(schema.getValueType(), where);
      case ARRAY -> array(schema.getElementType(), where);
      case STRING -> text(where);
      case ENUM -> symbol(schema, where);
      case BYTES -> bytes(where);
      case INT -> (int) whole(where, Integer.MIN_VALUE, Integer.MAX_VALUE);
      case LONG -> whole(where, Long.MIN_VALUE, Long.MAX_VALUE);
      case DOUBLE -> number(where);
      case BOOLEAN -> {
        if (!in.currentToken().isBoolean()) {
          throw expected(where, "true or false");
        }
        yield in.getBooleanValue();
      }
      default -> throw new IllegalStateException(where + " is a " + schema.getType());
    };
  }

  /** Null, or the one other type; of bytes and a record, an object is the record. */
  private Object union(Schema union, String where) throws IOException, UndecodableEventException {
    if (in.currentToken() == JsonToken.VALUE_NULL && union.isNullable()) {
      return null;
    }
    Schema chosen = null;
    for (Schema type : union.getTypes()) {
      boolean object = type.getType() == Schema.Type.RECORD || type.getType() == Schema.Type.MAP;
      if (type.getType() != Schema.Type.NULL
          && (chosen == null || object == (in.currentToken() == JsonToken.START_OBJECT))) {
        chosen = type;
      }
    }
    return value(chosen, where);
  }

  private Map<String, Object> map(Schema values, String where)
      throws IOException, UndecodableEventException {
    require(JsonToken.START_OBJECT, where, "an object");
    Map<String, Object> map = new LinkedHashMap<>();
    while (in.nextToken() != JsonToken.END_OBJECT) {
      String key = paired(in.currentName(), where);
      in.nextToken();
      String entry = where + "." + shortened(key);
      Object value = values.getType() == Schema.Type.STRING ? scalar(entry) : value(values, entry);
      if (map.put(key, value) != null) {
        throw refusal(entry, "stands twice");
      }
    }
    return map;
  }

  /** In a map of texts, a number is the text that it is written as. */
  private String scalar(String where) throws IOException, UndecodableEventException {
    return switch (in.currentToken()) {
      case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT, VALUE_TRUE, VALUE_FALSE -> in.getText();
      default -> text(where);
    };
  }

  private List<Object> array(Schema items, String where)
      throws IOException, UndecodableEventException {
    require(JsonToken.START_ARRAY, where, "an array");
    List<Object> array = new ArrayList<>();
    while (in.nextToken() != JsonToken.END_ARRAY) {
      array.add(value(items, where + "[" + array.size() + "]"));
    }
    return array;
  }

  private String text(String where) throws IOException, UndecodableEventException {
    require(JsonToken.VALUE_STRING, where, "a text");
    return paired(in.getText(), where);
  }

  /** Half of a surrogate pair has no bytes in UTF-8: another text would be written. */
  private static String paired(String text, String where) throws UndecodableEventException {
    for (int i = 0; i < text.length(); i++) {
      if (Character.isSurrogate(text.charAt(i))) {
        if (i + 1 < text.length()
            && Character.isSurrogatePair(text.charAt(i), text.charAt(i + 1))) {
          i++;
        } else {
          throw refusal(where, "has half of a surrogate pair");
        }
      }
    }
    return text;
  }

  private Object symbol(Schema schema, String where) throws IOException, UndecodableEventException {
    String symbol = text(where);
    if (!schema.hasEnumSymbol(symbol)) {
      if (schema.getEnumDefault() == null) {
        throw refusal(
            where,
            "is '%s'; one of %s is expected".formatted(shortened(symbol), schema.getEnumSymbols()));
      }
      symbol = schema.getEnumDefault();
    }
    return SpecificData.get().createEnum(symbol, schema);
  }

  private ByteBuffer bytes(String where) throws IOException, UndecodableEventException {
    if (in.currentToken() == JsonToken.VALUE_EMBEDDED_OBJECT
        && in.getEmbeddedObject() instanceof byte[] bytes) {
      return ByteBuffer.wrap(bytes);
    }
    require(JsonToken.VALUE_STRING, where, "base64 text");
    try {
      return ByteBuffer.wrap(in.getBinaryValue(Base64Variants.MIME_NO_LINEFEEDS));
    } catch (JsonProcessingException | IllegalArgumentException e) {
      throw refusal(where, "is not base64 text (A-Z a-z 0-9 + / and = at the end)");
    }
  }

  private long whole(String where, long least, long most)
      throws IOException, UndecodableEventException {
    if (in.currentToken() == JsonToken.VALUE_NUMBER_INT
        || in.currentToken() == JsonToken.VALUE_NUMBER_FLOAT) {
      try {
        BigDecimal number = in.getDecimalValue();
        long value = number.longValueExact(); // looks at the exponent first: 1e999999999 is quick
        if (value >= least && value <= most) {
          return value;
        }
      } catch (ArithmeticException | NumberFormatException e) {
        // Said below.
      }
    }
    throw expected(where, "a whole number from %d to %d".formatted(least, most));
  }

  private double number(String where) throws IOException, UndecodableEventException {
    if (in.currentToken().isNumeric()) {
      double value = in.getDoubleValue();
      if (Double.isFinite(value)) {
        return value;
      }
    }
    throw expected(where, "a finite number");
  }

  private void require(JsonToken token, String where, String what)
      throws IOException, UndecodableEventException {
    if (in.currentToken() != token) {
      throw expected(where, what);
    }
  }

  private UndecodableEventException expected(String where, String what) throws IOException {
    return refusal(where, "is %s; %s is expected".formatted(shown(), what));
  }

  private static UndecodableEventException refusal(String where, String why) {
    return new UndecodableEventException(where + " " + why + ".");
  }

  /** The value at hand, for a message. */
  String shown() throws IOException {
    return switch (in.currentToken()) {
      case START_OBJECT -> "an object";
      case START_ARRAY -> "an array";
      case VALUE_STRING -> "the text '" + shown(in.getText()) + "'";
      case VALUE_EMBEDDED_OBJECT -> "bytes";
      default -> shown(in.getText());
    };
  }

  private static String shown(String text) {
    return text.length() <= MAX_SHOWN ? text : text.substring(0, MAX_SHOWN) + "...";
  }

  /** A text of the sender as a message may have it. */
  static String shortened(String text) {
    return text.length() <= 2 * MAX_SHOWN ? text : text.substring(0, 2 * MAX_SHOWN) + "...";
  }
}
