/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import java.util.Objects;
import org.apache.flink.annotation.Internal;

/**
 * Why one request was not done.
 *
 * @param kind the kind of failure
 * @param message one sentence for the sender: what happened and what would help
 */
@Internal
public record RequestFailure(Kind kind, String message) {
  public RequestFailure {
    Objects.requireNonNull(kind, "kind");
    Objects.requireNonNull(message, "message");
  }

  /** Kinds of failure that concern one request alone. */
  public enum Kind {
    /** The model cannot do it. */
    INVALID_REQUEST,
    /** The network's output is NaN or infinite. */
    NOT_FINITE,
    /** It does not fit into the device's memory, even alone. */
    OUT_OF_MEMORY,
    /** It was not done within its time limit, or by its deadline. */
    TIMEOUT,
    /** Somebody called {@link BatchSession#cancel}. */
    CANCELLED
  }
}
