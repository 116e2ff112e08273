/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import org.apache.flink.annotation.Internal;

/** The device's memory did not suffice for a call; a smaller batch may. */
@Internal
public final class DeviceMemoryException extends EngineException {
  private static final long serialVersionUID = 1L;

  public DeviceMemoryException(String message, Throwable cause) {
    super(message, cause);
  }
}
