/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import org.apache.flink.annotation.PublicEvolving;
import org.jspecify.annotations.NullMarked;

/** Which key the record of a result or a failure has. */
@NullMarked
@PublicEvolving
public enum RecordKey {
  /** The key of the request's record; where that has none, the request's id. */
  REQUEST("request"),
  /** The request's id. */
  ID("id");

  private final String text;

  RecordKey(String text) {
    this.text = text;
  }

  /** As Flink's configuration writes it. */
  @Override
  public String toString() {
    return text;
  }
}
