/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import io.github.flinkdiffusion.ops.failure.FlinkDiffusionException;
import org.apache.flink.annotation.Internal;

/** A tokenizer's files cannot be used; the message names file, entry and what is accepted. */
@Internal
public final class TokenizerException extends FlinkDiffusionException {
  private static final long serialVersionUID = 1L;

  public TokenizerException(String message) {
    super(message);
  }

  public TokenizerException(String message, Throwable cause) {
    super(message, cause);
  }
}
