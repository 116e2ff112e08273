/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.table;

import org.apache.flink.runtime.throwable.ThrowableAnnotation;
import org.apache.flink.runtime.throwable.ThrowableType;

/**
 * A row that is no event. The message says which column, which value, and what would be accepted.
 * Fails the job for good, whatever its restart strategy: each attempt would meet the same row.
 */
@ThrowableAnnotation(ThrowableType.NonRecoverableError)
final class EventRowException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  EventRowException(String message) {
    super(message);
  }

  EventRowException(String message, Throwable cause) {
    super(message, cause);
  }
}
