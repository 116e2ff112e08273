/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.failure.FlinkDiffusionException;
import org.apache.flink.annotation.Internal;
import org.apache.flink.runtime.throwable.ThrowableAnnotation;
import org.apache.flink.runtime.throwable.ThrowableType;

/**
 * A model that this task manager cannot open, now or after any restart: it is not there, or its
 * files do not hold what they must. Fails the job for good, whatever its restart strategy. Trouble
 * that may pass, such as a disk that cannot be read or memory that is short, is none of these.
 */
@Internal
@ThrowableAnnotation(ThrowableType.NonRecoverableError)
public final class UnusableModelException extends FlinkDiffusionException {
  private static final long serialVersionUID = 1L;

  /** With a sentence that says which model, and what to do. */
  public UnusableModelException(String message) {
    super(message);
  }

  UnusableModelException(String message, Throwable cause) {
    super(message, cause);
  }
}
