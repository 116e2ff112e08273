/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.event;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** The files that a list of slices names. */
final class SliceReferences {
  private static final ObjectMapper JSON = new ObjectMapper();

  private SliceReferences() {}

  /** None of a text that is no list: whoever works on it refuses it. */
  static List<PayloadReference> in(byte[] list) {
    List<PayloadReference> found = new ArrayList<>();
    try {
      for (JsonNode file : JSON.readTree(list).path("slices")) {
        if (file.path("uri").isTextual() && file.path("sha256").isTextual()) {
          found.add(
              new PayloadReference(
                  file.path("uri").asText(),
                  file.path("sha256").asText(),
                  file.path("length").asLong()));
        }
      }
    } catch (IOException e) {
      return List.of();
    }
    return found;
  }
}
