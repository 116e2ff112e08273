/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import org.apache.flink.annotation.Internal;

/**
 * What a checkpoint counts as written is not in Kafka and never will be: the broker aborted the
 * transaction between the checkpoint and its commit. The message says which transaction, why that
 * happens, and what can be done.
 */
@Internal
public final class LostTransactionException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** With a message as described above. */
  public LostTransactionException(String message, Throwable cause) {
    super(message, cause);
  }
}
