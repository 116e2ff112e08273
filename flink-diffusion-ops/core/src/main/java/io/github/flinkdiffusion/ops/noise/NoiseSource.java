/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.noise;

import org.apache.flink.annotation.Internal;

/**
 * A stream of standard normal values.
 *
 * <p>One source belongs to one trajectory: what a trajectory draws depends on its own seed and on
 * how much it has drawn before, never on the batch it happens to share. Sources are not
 * thread-safe.
 */
@Internal
@FunctionalInterface
public interface NoiseSource {

  /**
   * Draws the next {@code n} values.
   *
   * <p>Whether {@code gaussian(a)} followed by {@code gaussian(b)} equals {@code gaussian(a + b)}
   * is up to the source; for {@link TorchGenerator} it does not, exactly as in PyTorch.
   *
   * @param n how many values, at least 0
   * @return a fresh array that the caller may keep and change
   */
  float[] gaussian(int n);
}
