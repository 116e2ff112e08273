/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training.data;

/** Training data cannot be read; the message names the file and what is expected there. */
public final class TrainingDataException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public TrainingDataException(String message) {
    super(message);
  }

  public TrainingDataException(String message, Throwable cause) {
    super(message, cause);
  }
}
