/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.format;

import org.apache.flink.annotation.PublicEvolving;
import org.jspecify.annotations.NullMarked;

/** What becomes of a field that an event does not have. */
@NullMarked
@PublicEvolving
public enum UnknownFields {
  /** The record is refused, and the failure names the field. */
  REFUSE("refuse"),
  /** It becomes an attribute: a text as it is, anything else as JSON. */
  ATTRIBUTES("attributes");

  private final String text;

  UnknownFields(String text) {
    this.text = text;
  }

  /** As Flink's configuration writes it. */
  @Override
  public String toString() {
    return text;
  }
}
