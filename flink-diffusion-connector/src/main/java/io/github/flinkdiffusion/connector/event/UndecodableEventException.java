/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.event;

import org.apache.flink.annotation.Internal;
import org.apache.flink.annotation.PublicEvolving;
import org.jspecify.annotations.NullMarked;

/**
 * Bytes that are no event of the kind that was expected. The message is a sentence for the sender:
 * what is wrong with the bytes and what would be accepted.
 */
@NullMarked
@PublicEvolving
public final class UndecodableEventException extends Exception {
  private static final long serialVersionUID = 1L;

  /**
   * @param message a sentence
   */
  @Internal
  public UndecodableEventException(String message) {
    super(message);
  }

  /**
   * @param message a sentence
   */
  @Internal
  public UndecodableEventException(String message, Throwable cause) {
    super(message, cause);
  }
}
