/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.failure;

import org.apache.flink.annotation.Internal;
import org.apache.flink.annotation.PublicEvolving;
import org.jspecify.annotations.NullMarked;

/** Anything that this project refuses or cannot do. The message is a sentence for people. */
@NullMarked
@PublicEvolving
public abstract class FlinkDiffusionException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** For the exceptions of this project. */
  @Internal
  protected FlinkDiffusionException(String message) {
    super(message);
  }

  /** For the exceptions of this project. */
  @Internal
  protected FlinkDiffusionException(String message, Throwable cause) {
    super(message, cause);
  }
}
