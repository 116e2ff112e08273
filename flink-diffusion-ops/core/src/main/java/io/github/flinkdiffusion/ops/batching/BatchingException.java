/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import io.github.flinkdiffusion.ops.failure.FlinkDiffusionException;
import org.apache.flink.annotation.Internal;

/**
 * A device cannot work for anybody: its model did not load, a call failed for good, or it is
 * closed.
 */
@Internal
public final class BatchingException extends FlinkDiffusionException {
  private static final long serialVersionUID = 1L;

  public BatchingException(String message) {
    super(message);
  }

  public BatchingException(String message, Throwable cause) {
    super(message, cause);
  }
}
