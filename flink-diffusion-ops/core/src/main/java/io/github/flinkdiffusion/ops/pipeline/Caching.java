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
 * skip connection alone, or a transformer's first blocks. A transformer's request may instead leave
 * it to each call: it stays with the first blocks until what they add has changed by more than a
 * threshold.
 *
 * @param interval of requests that name none, 1 for whole calls only
 * @param branch the skip connection, 0 for the outermost; of a transformer, the last block that
 *     each call computes
 * @param memory bytes of the device that features may take; a request whose features find no room
 *     makes them again when it needs them, so its image is the same
 * @param threshold of requests that name none, 0 for none; null where no request can have one
 */
@Internal
public record Caching(int interval, int branch, long memory, Double threshold)
    implements Serializable {
  /** Most steps that may follow each other without a whole one. */
  public static final int LONGEST_INTERVAL = 50;

  /** Of a threshold: above it, hardly a step would compute the whole network. */
  public static final double LARGEST_THRESHOLD = 10;

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
    if (threshold != null && !isThreshold(threshold)) {
      throw new IllegalArgumentException(
          "A cache threshold of %s; it must be from 0 to 10.".formatted(threshold));
    }
  }

  /** Where no request can have a threshold. */
  public Caching(int interval, int branch, long memory) {
    this(interval, branch, memory, null);
  }

  /** Whether a threshold can be so much. */
  public static boolean isThreshold(double value) {
    return value >= 0 && value <= LARGEST_THRESHOLD;
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
