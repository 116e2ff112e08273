/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.noise.BrownianTree;

/**
 * Noise of a step that is the movement of a Brownian path in sigma, for a config that seeds it.
 *
 * @param tree the path, over all sigmas of the plan
 * @param from sigma that the step begins with
 * @param to a lower one, where it ends
 */
record BrownianStep(BrownianTree tree, double from, double to) {

  /** Standard normal values: the movement from one sigma down to the other, scaled. */
  float[] noise(int n) {
    float[] moved = tree.increment(to, from, n);
    float scale = (float) Math.sqrt(Math.abs((float) to - (float) from));
    for (int i = 0; i < n; i++) {
      // Time falls as sampling goes on, so the path is walked backwards.
      moved[i] = -moved[i] / scale;
    }
    return moved;
  }
}
