/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.weights.Sha256;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ReadableConfig;

/**
 * Which attributes of a request its audit record holds, such as the reference of a consent.
 *
 * @param names of the attributes
 */
@Internal
public record AuditAttributes(List<String> names) implements Serializable {
  /** What the parameters of records begin with. */
  public static final String PREFIX = "attribute.";

  private static final int MOST_NAMES = 16;
  private static final int MOST_TEXT = 512;

  static AuditAttributes of(ReadableConfig config) {
    List<String> names = config.get(DiffusionOptions.AUDIT_ATTRIBUTES);
    if (names.size() > MOST_NAMES || names.stream().anyMatch(String::isBlank)) {
      throw new DiffusionException(
          "Invalid value '%s' for option %s: expected up to %d names of attributes"
              .formatted(names, DiffusionOptions.AUDIT_ATTRIBUTES.key(), MOST_NAMES));
    }
    return new AuditAttributes(List.copyOf(names));
  }

  /**
   * Parameters for a record. Of a long text, the record has the digest.
   *
   * @param attributes of the request
   */
  public Map<String, String> of(Map<String, String> attributes) {
    Map<String, String> parameters = new TreeMap<>();
    for (String name : names) {
      String value = attributes.get(name);
      if (value != null) {
        parameters.put(
            PREFIX + name,
            value.length() <= MOST_TEXT
                ? value
                : "SHA-256 " + Sha256.hex(value.getBytes(StandardCharsets.UTF_8)));
      }
    }
    return parameters;
  }
}
