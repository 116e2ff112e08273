/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import io.github.flinkdiffusion.ops.failure.ConcernsOneRequest;
import io.github.flinkdiffusion.ops.failure.FlinkDiffusionException;
import org.apache.flink.annotation.Internal;

/** Two things cannot be compared; the message says which they are and what would be accepted. */
@Internal
public final class QualityException extends FlinkDiffusionException implements ConcernsOneRequest {
  private static final long serialVersionUID = 1L;

  public QualityException(String message) {
    super(message);
  }
}
