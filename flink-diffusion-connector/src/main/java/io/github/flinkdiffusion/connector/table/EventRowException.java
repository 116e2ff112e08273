/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.table;

/**
 * A row that is no event. The message says which column, which value, and what would be accepted.
 */
final class EventRowException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  EventRowException(String message) {
    super(message);
  }

  EventRowException(String message, Throwable cause) {
    super(message, cause);
  }
}
