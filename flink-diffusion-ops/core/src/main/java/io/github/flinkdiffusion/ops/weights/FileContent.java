/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.util.Optional;
import java.util.Set;

/**
 * What reading a whole file has told.
 *
 * @param digest SHA-256 of its bytes, in lower-case hexadecimal
 * @param notFinite of a safetensors file, the tensors in it that hold a NaN or an infinity; empty
 *     of another file, of whose elements nothing is known
 */
record FileContent(String digest, Optional<Set<String>> notFinite) {
  private static final String ALL_FINITE = "finite";
  private static final String UNKNOWN = "unknown";

  /** Whether every element of the tensor is known to be finite. */
  boolean isFinite(String tensor) {
    return notFinite.isPresent() && !notFinite.get().contains(tensor);
  }

  /** Whether a later process may rely on it: a model with such tensors is not worth that. */
  boolean isWorthRemembering() {
    return notFinite.isEmpty() || notFinite.get().isEmpty();
  }

  /** One line. */
  String text() {
    return digest + " " + (notFinite.isPresent() ? ALL_FINITE : UNKNOWN);
  }

  /**
   * @throws IllegalArgumentException if it is no such line
   */
  static FileContent parse(String text) {
    String[] parts = text.split(" ", -1);
    if (parts.length != 2
        || !parts[0].matches("[0-9a-f]{64}")
        || !parts[1].matches(ALL_FINITE + "|" + UNKNOWN)) {
      throw new IllegalArgumentException("no such line");
    }
    return new FileContent(
        parts[0], parts[1].equals(ALL_FINITE) ? Optional.of(Set.of()) : Optional.empty());
  }
}
