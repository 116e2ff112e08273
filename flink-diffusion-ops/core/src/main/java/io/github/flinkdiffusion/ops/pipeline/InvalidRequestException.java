/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.failure.ConcernsOneRequest;
import io.github.flinkdiffusion.ops.failure.FlinkDiffusionException;
import org.apache.flink.annotation.Internal;

/**
 * The model cannot do this request, now or later. The message is one sentence for the person who
 * sent it: which value is wrong and what would be accepted.
 */
@Internal
public final class InvalidRequestException extends FlinkDiffusionException
    implements ConcernsOneRequest {
  private static final long serialVersionUID = 1L;

  public InvalidRequestException(String message) {
    super(message);
  }

  public InvalidRequestException(String message, Throwable cause) {
    super(message, cause);
  }
}
