/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.batching.RequestFailure;
import io.github.flinkdiffusion.ops.failure.ConcernsOneRequest;
import io.github.flinkdiffusion.ops.failure.FlinkDiffusionException;
import org.apache.flink.annotation.Internal;

/** A request failed, alone; others are not affected. */
@Internal
public final class GenerationException extends FlinkDiffusionException
    implements ConcernsOneRequest {
  private static final long serialVersionUID = 1L;

  private final transient RequestFailure failure;

  GenerationException(String id, RequestFailure failure) {
    super("Request " + id + ": " + failure.message());
    this.failure = failure;
  }

  /** Null after serialization. */
  public RequestFailure failure() {
    return failure;
  }
}
