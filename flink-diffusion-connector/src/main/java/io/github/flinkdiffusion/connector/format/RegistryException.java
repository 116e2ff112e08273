/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.format;

/**
 * A schema registry that does not answer, or does not allow what it is asked. It concerns every
 * record, so it fails the task; Flink's restart strategy says how often that is tried again.
 */
final class RegistryException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  RegistryException(String message) {
    super(message);
  }

  RegistryException(String message, Throwable cause) {
    super(message, cause);
  }
}
