/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.prompt;

import io.github.flinkdiffusion.ops.failure.ConcernsOneRequest;
import io.github.flinkdiffusion.ops.failure.FlinkDiffusionException;
import org.apache.flink.annotation.Internal;

/** A prompt is not written as its language wants it; the message says where, and what is. */
@Internal
public final class PromptSyntaxException extends FlinkDiffusionException
    implements ConcernsOneRequest {
  private static final long serialVersionUID = 1L;

  public PromptSyntaxException(String message) {
    super(message);
  }
}
