/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import java.io.Serializable;
import java.time.Duration;
import java.util.Objects;
import java.util.OptionalLong;
import org.apache.flink.annotation.Internal;

/**
 * How the models of one device share its memory. Of several users of a device, the smallest values
 * count.
 *
 * @param mostBytes most memory that weights of loaded models take together; null is no limit
 * @param turn how long a model that is in use stays loaded while another one waits for its memory;
 *     then it accepts no more requests until the other had its turn
 */
@Internal
public record MemoryShare(Long mostBytes, Duration turn) implements Serializable {
  /** Every model that was used stays loaded. */
  public static final MemoryShare UNLIMITED = new MemoryShare(null, Duration.ZERO);

  public MemoryShare {
    Objects.requireNonNull(turn, "turn");
    if (turn.isNegative()) {
      throw new IllegalArgumentException("A turn of " + turn + " is below zero.");
    }
  }

  /** Most memory that weights of loaded models take together; absent is no limit. */
  OptionalLong bytes() {
    return mostBytes == null ? OptionalLong.empty() : OptionalLong.of(mostBytes);
  }

  /** Both, each as far as the smaller one allows. */
  MemoryShare and(MemoryShare other) {
    return new MemoryShare(
        mostBytes == null || other.mostBytes != null && other.mostBytes < mostBytes
            ? other.mostBytes
            : mostBytes,
        turn.compareTo(other.turn) < 0 ? turn : other.turn);
  }
}
