/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.deploy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.StreamSupport;

/** The schema of a custom resource's definition, as far as the operator's definitions use it. */
final class CustomResourceSchema {
  private final JsonNode schema;

  private CustomResourceSchema(JsonNode schema) {
    this.schema = schema;
  }

  /**
   * @param resource on the class path
   */
  static CustomResourceSchema read(String resource) {
    try (InputStream in =
        CustomResourceSchema.class.getClassLoader().getResourceAsStream(resource)) {
      JsonNode definition = new ObjectMapper(new YAMLFactory()).readTree(in);
      return new CustomResourceSchema(
          definition.path("spec").path("versions").get(0).path("schema").path("openAPIV3Schema"));
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read " + resource, e);
    }
  }

  /** One sentence for each thing that the API server would refuse or drop. */
  List<String> faults(JsonNode resource) {
    List<String> faults = new ArrayList<>();
    ObjectNode own = resource.deepCopy();
    own.remove(List.of("apiVersion", "kind", "metadata")); // which every resource has
    check("", schema, own, faults);
    return faults;
  }

  private static void check(String at, JsonNode schema, JsonNode value, List<String> faults) {
    if (schema.path("enum").isArray()
        && StreamSupport.stream(schema.path("enum").spliterator(), false)
            .noneMatch(value::equals)) {
      faults.add("%s is %s; accepted: %s".formatted(at, value, schema.path("enum")));
    }
    if (schema.path("x-kubernetes-int-or-string").asBoolean()) {
      if (!value.isInt() && !value.isTextual()) {
        faults.add("%s is %s, no number and no text".formatted(at, value));
      }
      return;
    }
    switch (schema.path("type").asText()) {
      case "object" -> object(at, schema, value, faults);
      case "array" -> {
        if (!value.isArray()) {
          faults.add("%s is %s, no list".formatted(at, value));
        }
        for (int i = 0; i < value.size(); i++) {
          check("%s[%d]".formatted(at, i), schema.path("items"), value.get(i), faults);
        }
      }
      case "string" -> expect(value.isTextual(), at, value, "text", faults);
      case "integer" -> expect(value.isIntegralNumber(), at, value, "whole number", faults);
      case "number" -> expect(value.isNumber(), at, value, "number", faults);
      case "boolean" -> expect(value.isBoolean(), at, value, "true or false", faults);
      default -> {
        // any value
      }
    }
  }

  private static void expect(
      boolean holds, String at, JsonNode value, String what, List<String> faults) {
    if (!holds) {
      faults.add("%s is %s, no %s".formatted(at, value, what));
    }
  }

  private static void object(String at, JsonNode schema, JsonNode value, List<String> faults) {
    if (!value.isObject()) {
      faults.add("%s is %s, no object".formatted(at, value));
      return;
    }
    for (JsonNode required : schema.path("required")) {
      if (!value.has(required.asText())) {
        faults.add("%s lacks %s".formatted(at, required.asText()));
      }
    }
    JsonNode properties = schema.path("properties");
    JsonNode others = schema.path("additionalProperties");
    boolean open =
        schema.path("x-kubernetes-preserve-unknown-fields").asBoolean()
            || properties.isMissingNode();
    for (Map.Entry<String, JsonNode> field : value.properties()) {
      String name = at + "." + field.getKey();
      if (properties.has(field.getKey())) {
        check(name, properties.get(field.getKey()), field.getValue(), faults);
      } else if (others.isObject()) {
        check(name, others, field.getValue(), faults);
      } else if (!open) {
        faults.add(name + " is not known");
      }
    }
  }
}
