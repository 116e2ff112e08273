/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.embedded;

/** The broker in this JVM could not start, answer or stop as asked; the message says which. */
public final class EmbeddedKafkaException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  EmbeddedKafkaException(String message, Throwable cause) {
    super(message, cause);
  }

  EmbeddedKafkaException(String message) {
    super(message);
  }
}
