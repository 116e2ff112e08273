/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.format;

import io.github.flinkdiffusion.connector.event.Utf8;
import java.nio.ByteBuffer;
import java.util.Optional;

/** What bytes that are not in the expected format seem to be, and which setting reads them. */
final class LooksLike {
  private static final String SET = " Set diffusion.kafka.source.format to '%s' to read it.";

  private LooksLike() {}

  /** A sentence or two; empty when they look like nothing that is known. */
  static Optional<String> sentence(byte[] value, FormatSettings expected) {
    EventFormat format = expected.format();
    if (startsWith(value, 0xC3, 0x01) && value.length >= 10) {
      return format == EventFormat.AVRO
          ? Optional.empty()
          : Optional.of(
              "This looks like Avro's single-object encoding." + SET.formatted(EventFormat.AVRO));
    }
    if (isJson(value, 0)) {
      return format == EventFormat.JSON
          ? Optional.empty()
          : Optional.of("This looks like JSON." + SET.formatted(EventFormat.JSON));
    }
    // Ids count from 1, so four zeros more are the upper half of an id of eight bytes.
    for (Framing framing : Framing.values()) {
      if (framing.fits(value)) {
        return framed(value, framing, expected);
      }
    }
    if (startsWith(value, 'O', 'b', 'j', 1)) {
      return Optional.of(
          "This looks like a file of Avro records. A record of Kafka holds one event.");
    }
    if (startsWith(value, 0x1F, 0x8B)) {
      return Optional.of(
          "This looks like gzip. Let the producer compress (compression.type), not the value.");
    }
    if (value.length > 0 && value[0] >= ' ' && Utf8.isValid(ByteBuffer.wrap(value))) {
      return Optional.of(
          "This looks like text; in JSON, a prompt is {\"prompt\": \"...\"}."
              + (format == EventFormat.JSON ? "" : SET.formatted(EventFormat.JSON)));
    }
    return Optional.empty();
  }

  private static Optional<String> framed(byte[] value, Framing framing, FormatSettings expected) {
    boolean json = isJson(value, framing.headerBytes());
    EventFormat seen = json ? EventFormat.REGISTRY_JSON : EventFormat.REGISTRY_AVRO;
    boolean otherFraming = expected.registry() == null || expected.registry().framing() != framing;
    if (expected.format() == seen && !otherFraming) {
      return Optional.empty();
    }
    return Optional.of(
        "This looks like %s-framed %s, schema id %d. Set diffusion.kafka.source.format to '%s'%s%s to read it."
            .formatted(
                framing == Framing.CONFLUENT ? "Confluent" : "Apicurio",
                json ? "JSON" : "Avro",
                framing.id(value),
                seen,
                otherFraming && framing == Framing.APICURIO
                    ? ", diffusion.kafka.registry.framing to 'apicurio'"
                    : otherFraming && expected.registry() != null
                        ? ", diffusion.kafka.registry.framing to 'confluent'"
                        : "",
                expected.registry() == null
                    ? " and diffusion.kafka.registry.url to the registry"
                    : ""));
  }

  private static boolean startsWith(byte[] value, int... bytes) {
    if (value.length < bytes.length) {
      return false;
    }
    for (int i = 0; i < bytes.length; i++) {
      if (value[i] != (byte) bytes[i]) {
        return false;
      }
    }
    return true;
  }

  private static boolean isJson(byte[] value, int from) {
    int at = from;
    while (at < value.length
        && (value[at] == ' ' || value[at] == '\n' || value[at] == '\r' || value[at] == '\t')) {
      at++;
    }
    return at < value.length && value[at] == '{' && value[value.length - 1] != 0;
  }
}
