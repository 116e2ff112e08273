/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.connector.payload.PayloadException;
import io.github.flinkdiffusion.ops.batching.RequestFailure;
import io.github.flinkdiffusion.ops.failure.ConcernsOneRequest;
import io.github.flinkdiffusion.ops.serving.GenerationException;
import java.util.concurrent.CompletionException;
import org.apache.flink.runtime.execution.SuppressRestartsException;

/** What becomes of a row whose picture cannot be made. */
enum OnError {
  /** The job fails. */
  FAIL,
  /** The row gives none. */
  DROP,
  /** The row's outputs are null but for the error columns. */
  COLUMN;

  /**
   * What a job fails with. With checkpoints, Flink restarts a failed job, by default without an
   * end; not where each attempt would read the same row and fail at it again.
   */
  static RuntimeException failingTheJob(Throwable cause) {
    if (failsAgain(cause)) {
      return new SuppressRestartsException(cause);
    }
    return cause instanceof RuntimeException unchecked ? unchecked : new CompletionException(cause);
  }

  private static boolean failsAgain(Throwable cause) {
    if (cause instanceof GenerationException one && one.failure() != null) {
      RequestFailure.Kind kind = one.failure().kind();
      return kind == RequestFailure.Kind.INVALID_REQUEST || kind == RequestFailure.Kind.NOT_FINITE;
    }
    if (cause instanceof PayloadException payload) {
      return !payload.mayPass();
    }
    // A row that took too long may be faster on a device that is less busy.
    return cause instanceof ConcernsOneRequest one
        && !one.mayPass()
        && !(cause instanceof RowTimeoutException);
  }
}
