/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.Optional;

/** JSON of the browser, read strictly. */
final class Json {
  static final ObjectMapper MAPPER = new ObjectMapper();

  private Json() {}

  static ObjectNode object() {
    return MAPPER.createObjectNode();
  }

  /** In one line, as an event of a server needs it. */
  static String text(Object value) {
    try {
      return MAPPER.writeValueAsString(value);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e); // of records and nodes: cannot be
    }
  }

  static JsonNode read(byte[] body) throws Refusal {
    try {
      JsonNode node = MAPPER.readTree(body);
      if (node != null && node.isObject()) {
        return node;
      }
    } catch (IOException e) {
      // said below
    }
    throw Refusal.badRequest("The body is no JSON object.");
  }

  static String text(JsonNode from, String name, int mostChars) throws Refusal {
    JsonNode value = from.path(name);
    if (!value.isTextual()) {
      throw Refusal.badRequest("'%s' must be a text.", name);
    }
    if (value.textValue().length() > mostChars) {
      throw new Refusal(
          413,
          "'%s' has %d characters; at most %d are accepted."
              .formatted(name, value.textValue().length(), mostChars));
    }
    return value.textValue();
  }

  static Optional<String> optionalText(JsonNode from, String name, int mostChars) throws Refusal {
    return from.path(name).isMissingNode() || from.path(name).isNull()
        ? Optional.empty()
        : Optional.of(text(from, name, mostChars));
  }

  /** A whole number in a range; null when it is not given. */
  static Long number(JsonNode from, String name, long least, long most) throws Refusal {
    JsonNode value = from.path(name);
    if (value.isMissingNode() || value.isNull()) {
      return null;
    }
    if (!value.isIntegralNumber()
        || !value.canConvertToLong()
        || value.longValue() < least
        || value.longValue() > most) {
      throw Refusal.badRequest(
          "'%s' is %s; a whole number from %d to %d is expected.", name, value, least, most);
    }
    return value.longValue();
  }

  static Double decimal(JsonNode from, String name, double least, double most) throws Refusal {
    JsonNode value = from.path(name);
    if (value.isMissingNode() || value.isNull()) {
      return null;
    }
    if (!value.isNumber() || !(value.doubleValue() >= least && value.doubleValue() <= most)) {
      throw Refusal.badRequest(
          "'%s' is %s; a number from %s to %s is expected.", name, value, least, most);
    }
    return value.doubleValue();
  }
}
