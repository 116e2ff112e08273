/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.io.Serializable;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * What a model's requests may reuse of their earlier steps: DeepCache (Ma et al. 2023) in a UNet,
 * the first-block cache in a transformer. Every {@code interval}-th network call computes the whole
 * network and leaves features on the device; those between compute a UNet's blocks outside of a
 * skip connection alone, or a transformer's first blocks.
 *
 * @param interval of requests that name none, 1 for whole calls only
 * @param branch the skip connection, 0 for the outermost; of a transformer, the last block that
 *     each call computes
 * @param memory bytes of the device that features may take; a request whose features find no room
 *     makes them again when it needs them, so its image is the same
 */
@Internal
public record Caching(int interval, int branch, long memory) implements Serializable {
  /** Most steps that may follow each other without a whole one. */
  public static final int LONGEST_INTERVAL = 50;

  private static final String BRANCH = "branch ";

  public Caching {
    if (interval < 1 || interval > LONGEST_INTERVAL) {
      throw new IllegalArgumentException(
          "A cache interval of %d steps; it must be from 1 to %d."
              .formatted(interval, LONGEST_INTERVAL));
    }
    if (branch < 0) {
      throw new IllegalArgumentException(
          "A cache branch of %d; it counts from 0.".formatted(branch));
    }
    if (memory < 0) {
      throw new IllegalArgumentException("Features cannot take %d bytes.".formatted(memory));
    }
  }

  /** As {@link Basis} names it: what decides an image. The request says its own interval. */
  String basis() {
    return BRANCH + branch;
  }

  /** The branch of what {@link Basis} says; empty where that is something else. */
  public static Optional<Integer> branch(String basis) {
    return basis.matches(BRANCH + "\\d{1,4}")
        ? Optional.of(Integer.parseInt(basis.substring(BRANCH.length())))
        : Optional.empty();
  }
}
