/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.failure.ConcernsOneRequest;
import io.github.flinkdiffusion.ops.failure.FlinkDiffusionException;

/** A row or a call has no result within its time limit; others are not affected. */
final class RowTimeoutException extends FlinkDiffusionException implements ConcernsOneRequest {
  private static final long serialVersionUID = 1L;

  RowTimeoutException(String message) {
    super(message);
  }
}
