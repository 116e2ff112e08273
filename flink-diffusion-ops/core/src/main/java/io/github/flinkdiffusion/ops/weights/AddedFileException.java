/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import org.apache.flink.annotation.Internal;

/**
 * A file that settings add to a model, such as a LoRA or an IP-Adapter, cannot be used. The model
 * itself is not at fault; the message begins with the file.
 */
@Internal
public final class AddedFileException extends WeightsException {
  private static final long serialVersionUID = 1L;

  public AddedFileException(String message) {
    super(message);
  }

  public AddedFileException(String message, Throwable cause) {
    super(message, cause);
  }
}
