/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import io.github.flinkdiffusion.ops.failure.FlinkDiffusionException;
import org.apache.flink.annotation.Internal;

/** A model takes more memory than all models of its device may take together. */
@Internal
public final class OversizedModelException extends FlinkDiffusionException {
  private static final long serialVersionUID = 1L;

  OversizedModelException(String message) {
    super(message);
  }
}
