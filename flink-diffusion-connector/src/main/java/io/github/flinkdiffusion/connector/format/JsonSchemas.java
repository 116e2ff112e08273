/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.format;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.connector.event.EventCodec;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.Schema.Field;

/**
 * The JSON Schema (draft 7) of an event, made from its Avro schema, so both say the same. It is
 * what {@link EventJson} reads and writes, and what a schema registry is given.
 */
final class JsonSchemas {
  private static final ObjectMapper JSON = new ObjectMapper();

  private JsonSchemas() {}

  /** The schema, on several lines. */
  public static String of(Class<?> eventClass) {
    Schema schema = EventCodec.schemaOf(eventClass);
    ObjectNode root = JSON.createObjectNode();
    root.put("$schema", "http://json-schema.org/draft-07/schema#");
    root.put("title", schema.getName());
    root.setAll(record(schema));
    return root.toPrettyString() + "\n";
  }

  private static ObjectNode record(Schema schema) {
    ObjectNode node = JSON.createObjectNode();
    if (schema.getDoc() != null) {
      node.put("description", schema.getDoc());
    }
    node.put("type", "object");
    ObjectNode properties = node.putObject("properties");
    ArrayNode required = JSON.createArrayNode();
    for (Field field : EventFields.visible(schema)) {
      ObjectNode property = of(field.schema());
      ObjectNode described = JSON.createObjectNode();
      String doc = field.doc();
      if (EventFields.isDerivedId(schema, field)) {
        doc += " Without one, the request's place in Kafka is its id: topic-partition-offset.";
      } else if (!field.hasDefaultValue()) {
        required.add(field.name());
      }
      described.put("description", doc);
      property.remove("description");
      described.setAll(property);
      if (field.hasDefaultValue()) {
        described.set("default", defaultOf(field));
      }
      properties.set(field.name(), described);
    }
    if (!required.isEmpty()) {
      node.set("required", required);
    }
    node.put("additionalProperties", false);
    return node;
  }

  private static JsonNode defaultOf(Field field) {
    return JSON.valueToTree(
        field.defaultVal() == org.apache.avro.JsonProperties.NULL_VALUE
            ? null
            : field.defaultVal() instanceof byte[] bytes ? bytes : field.defaultVal());
  }

  private static ObjectNode of(Schema schema) {
    return switch (schema.getType()) {
      case RECORD -> record(schema);
      case UNION -> union(schema);
      case MAP -> {
        ObjectNode node = JSON.createObjectNode().put("type", "object");
        ObjectNode values = of(schema.getValueType());
        if (schema.getValueType().getType() == Schema.Type.STRING) {
          values.putArray("type").add("string").add("number").add("boolean");
        }
        node.set("additionalProperties", values);
        yield node;
      }
      case ARRAY -> {
        ObjectNode node = JSON.createObjectNode().put("type", "array");
        node.set("items", of(schema.getElementType()));
        yield node;
      }
      case ENUM -> {
        ObjectNode node = JSON.createObjectNode().put("type", "string");
        ArrayNode symbols = node.putArray("enum");
        schema.getEnumSymbols().forEach(symbols::add);
        yield node;
      }
      case STRING -> JSON.createObjectNode().put("type", "string");
      case BYTES -> JSON.createObjectNode().put("type", "string").put("contentEncoding", "base64");
      case INT -> whole(Integer.MIN_VALUE, Integer.MAX_VALUE);
      case LONG -> whole(Long.MIN_VALUE, Long.MAX_VALUE);
      case DOUBLE -> JSON.createObjectNode().put("type", "number");
      case BOOLEAN -> JSON.createObjectNode().put("type", "boolean");
      default -> throw new IllegalStateException("An event has a " + schema.getType());
    };
  }

  private static ObjectNode whole(long least, long most) {
    return JSON.createObjectNode()
        .put("type", "integer")
        .put("minimum", least)
        .put("maximum", most);
  }

  /** Of null and one simple type, a list of types; else a choice. */
  private static ObjectNode union(Schema union) {
    List<ObjectNode> choices =
        union.getTypes().stream()
            .filter(type -> type.getType() != Schema.Type.NULL)
            .map(JsonSchemas::of)
            .toList();
    if (choices.size() == 1 && union.isNullable() && !choices.get(0).has("enum")) {
      ObjectNode node = choices.get(0);
      String type = node.get("type").asText();
      node.putArray("type").add(type).add("null");
      return node;
    }
    ObjectNode node = JSON.createObjectNode();
    ArrayNode any = node.putArray("anyOf");
    choices.forEach(any::add);
    if (union.isNullable()) {
      any.add(JSON.valueToTree(Map.of("type", "null")));
    }
    return node;
  }
}
