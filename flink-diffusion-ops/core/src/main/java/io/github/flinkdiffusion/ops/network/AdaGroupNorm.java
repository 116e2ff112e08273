/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;

/**
 * A group norm whose scale and shift are linear functions of the time embedding (diffusers'
 * AdaGroupNorm).
 *
 * @param channels of the image
 * @param groups a divisor of channels
 * @param timeEmbedding size of the time embedding
 * @param epsilon of the norm
 */
record AdaGroupNorm(int channels, int groups, int timeEmbedding, double epsilon) {

  /**
   * @param at the norm's own scope
   * @param x [N,channels,H,W]
   * @param time [N,timeEmbedding]
   */
  Value emit(Scope at, Value x, Value time) {
    Method m = at.method();
    Value both = at.linear("linear", time, timeEmbedding, 2 * channels);
    both = m.unsqueeze(m.unsqueeze(both, 2), 3);
    Value scale = m.add(m.narrow(both, 1, 0, channels), 1);
    Value shift = m.narrow(both, 1, channels, channels);
    return m.add(m.multiply(m.groupNorm(x, groups, null, null, epsilon), scale), shift);
  }
}
