/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.format;

import org.apache.flink.annotation.Internal;
import org.apache.flink.annotation.PublicEvolving;
import org.jspecify.annotations.NullMarked;

/** How an event stands in the value of a Kafka record. */
@NullMarked
@PublicEvolving
public enum EventFormat {
  /** Avro's single-object encoding: c3 01, the fingerprint of a schema, the record. */
  AVRO("avro"),
  /** A JSON object; see {@link EventJson}. */
  JSON("json"),
  /** An Avro record behind the id of its schema in a schema registry. */
  REGISTRY_AVRO("registry-avro"),
  /** A JSON object behind the id of its schema in a schema registry. */
  REGISTRY_JSON("registry-json"),
  /** An Avro record and nothing else; what its schema is has to be known. */
  PLAIN_AVRO("plain-avro");

  private final String text;

  EventFormat(String text) {
    this.text = text;
  }

  /** Whether a schema registry is needed. */
  @Internal
  public boolean usesRegistry() {
    return this == REGISTRY_AVRO || this == REGISTRY_JSON;
  }

  /** Whether what is behind a header is JSON. */
  @Internal
  public boolean isJson() {
    return this == JSON || this == REGISTRY_JSON;
  }

  /** As Flink's configuration writes it. */
  @Override
  public String toString() {
    return text;
  }
}
