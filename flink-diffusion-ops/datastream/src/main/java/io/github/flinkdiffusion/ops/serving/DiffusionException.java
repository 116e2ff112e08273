/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.failure.FlinkDiffusionException;
import org.apache.flink.annotation.Internal;
import org.apache.flink.annotation.PublicEvolving;
import org.jspecify.annotations.NullMarked;

/**
 * The operator cannot continue, or its settings cannot work; the message says what failed and what
 * is accepted. It fails the task, and Flink restores from the last checkpoint.
 */
@NullMarked
@PublicEvolving
public final class DiffusionException extends FlinkDiffusionException {
  private static final long serialVersionUID = 1L;

  /** For the operators of this project. */
  @Internal
  public DiffusionException(String message) {
    super(message);
  }

  /** For the operators of this project. */
  @Internal
  public DiffusionException(String message, Throwable cause) {
    super(message, cause);
  }
}
