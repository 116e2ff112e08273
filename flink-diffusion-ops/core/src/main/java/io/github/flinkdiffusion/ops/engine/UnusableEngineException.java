/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import org.apache.flink.annotation.Internal;

/**
 * An engine that is not there, or cannot do what is asked of it: trying again leads to the same.
 */
@Internal
public final class UnusableEngineException extends EngineException {
  private static final long serialVersionUID = 1L;

  public UnusableEngineException(String message) {
    super(message);
  }

  public UnusableEngineException(String message, Throwable cause) {
    super(message, cause);
  }
}
