/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.event;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.message.SchemaStore;

/**
 * Every version that an event's schema ever had, oldest first: the resources {@code Name.v1.avsc},
 * {@code Name.v2.avsc} and so on, without a gap. The last one is the schema of today's class, which
 * a test holds, so no version is released without being kept.
 */
record SchemaHistory(String eventName, List<Version> versions) implements SchemaStore {

  /** A schema and the CRC-64-AVRO fingerprint by which encoded events name it. */
  record Version(Schema schema, long fingerprint) {
    Version(Schema schema) {
      this(schema, SchemaNormalization.parsingFingerprint64(schema));
    }
  }

  SchemaHistory {
    versions = List.copyOf(versions);
  }

  static SchemaHistory of(Class<?> eventClass) {
    List<Version> versions = new ArrayList<>();
    String name = eventClass.getSimpleName();
    while (true) {
      String resource = name + ".v" + (versions.size() + 1) + ".avsc";
      try (InputStream in = eventClass.getResourceAsStream(resource)) {
        if (in == null) {
          break;
        }
        versions.add(new Version(new Schema.Parser().parse(in)));
      } catch (IOException e) {
        throw new UncheckedIOException("Cannot read the schema " + resource, e);
      }
    }
    if (versions.isEmpty()) {
      throw new IllegalStateException(
          "The resource " + name + ".v1.avsc is missing beside " + eventClass.getName());
    }
    return new SchemaHistory(name, versions);
  }

  /** The schema with this fingerprint, null when it is none of the event's. */
  @Override
  public Schema findByFingerprint(long fingerprint) {
    for (Version version : versions) {
      if (version.fingerprint == fingerprint) {
        return version.schema;
      }
    }
    return null;
  }

  /** The versions with their fingerprints, for a message. */
  String describe() {
    return IntStream.range(0, versions.size())
        .mapToObj(i -> "version %d (%016x)".formatted(i + 1, versions.get(i).fingerprint))
        .collect(Collectors.joining(", "));
  }
}
