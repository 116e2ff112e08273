/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

/**
 * An entry {@code name=value} of an option that is a list.
 *
 * @param name what stands before the first "="; empty if there is none
 * @param value what stands behind it
 */
record NamedEntry(String name, String value) {

  static NamedEntry of(String text) {
    int at = text.indexOf('=');
    return new NamedEntry(text.substring(0, Math.max(0, at)), text.substring(at + 1));
  }

  /** The same name with another value, as it stands in the list. */
  String with(String other) {
    return name + "=" + other;
  }
}
