/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import io.github.flinkdiffusion.ops.failure.FlinkDiffusionException;
import org.apache.flink.annotation.Internal;

/**
 * A model folder, a config or a weights file cannot be used. The message says what was being done,
 * which file and key, which value was found, and what would be accepted. Never retried: the same
 * file gives the same answer.
 */
@Internal
public class WeightsException extends FlinkDiffusionException {
  private static final long serialVersionUID = 1L;

  public WeightsException(String message) {
    super(message);
  }

  public WeightsException(String message, Throwable cause) {
    super(message, cause);
  }
}
