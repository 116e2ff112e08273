/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.event;

import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * The payloads that an event in JSON names. JSON does not say which kind of event it is, so they
 * are known by what they look like; one too many keeps an image that nobody needs, no more.
 */
final class JsonReferences {
  private static final ObjectMapper JSON =
      new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  /** As far as a registry's id of four or eight bytes may reach. */
  private static final int[] STARTS = {0, 5, 9};

  private JsonReferences() {}

  /**
   * @throws UndecodableEventException when the bytes are no JSON object, with or without the header
   *     of a schema registry
   */
  static List<PayloadReference> in(byte[] event) throws UndecodableEventException {
    for (int start : STARTS) {
      if (event.length > start && event[start] == '{' && (start == 0 || event[0] == 0)) {
        try {
          List<PayloadReference> found = new ArrayList<>();
          collect(JSON.readTree(event, start, event.length - start), found);
          return found;
        } catch (IOException e) {
          // Then it is none.
        }
      }
    }
    throw new UndecodableEventException("The bytes are not a JSON object.");
  }

  private static void collect(JsonNode node, List<PayloadReference> found) {
    JsonNode uri = node.path("uri");
    JsonNode sha256 = node.path("sha256");
    JsonNode length = node.path("length");
    if (uri.isTextual() && sha256.isTextual() && length.canConvertToLong()) {
      found.add(new PayloadReference(uri.asText(), sha256.asText(), length.asLong()));
    }
    JsonNode original = node.path("original");
    if (original.isTextual() && node.has("reason")) {
      try {
        found.addAll(Payloads.references(original.binaryValue()));
      } catch (IOException | UndecodableEventException e) {
        // Bytes that are no event name nothing.
      }
    }
    node.forEach(child -> collect(child, found));
  }
}
