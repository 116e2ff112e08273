/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import org.apache.flink.annotation.Internal;

/**
 * A key of a {@code config.json} is missing, has the wrong type, or asks for something that is not
 * supported.
 */
@Internal
public final class IllegalConfigException extends WeightsException {
  private static final long serialVersionUID = 1L;

  public IllegalConfigException(String message) {
    super(message);
  }
}
