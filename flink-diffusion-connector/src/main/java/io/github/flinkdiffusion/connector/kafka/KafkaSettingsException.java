/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import org.apache.flink.annotation.Internal;
import org.apache.flink.annotation.PublicEvolving;
import org.jspecify.annotations.NullMarked;

/**
 * Settings with which a source or sink could lose records, or could not work at all. The message
 * says what would happen and what to set instead.
 */
@NullMarked
@PublicEvolving
public final class KafkaSettingsException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** With a message as described above. */
  @Internal
  public KafkaSettingsException(String message) {
    super(message);
  }
}
