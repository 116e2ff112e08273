/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;

/**
 * The attention block of autoencoders and unconditional UNets: self-attention over all pixels, with
 * the shortcut around it.
 *
 * @param channels of the image
 * @param headSize channels of one head, a divisor of channels
 * @param groups of the norm before, 0 for none
 * @param epsilon of the norm
 * @param outputScale what the sum with the shortcut is divided by
 */
record SpatialAttention(
    int channels, int headSize, int groups, double epsilon, double outputScale) {

  Value emit(Scope at, Value x) {
    Method m = at.method();
    Value h = at.tokens(groups == 0 ? x : at.groupNorm("group_norm", x, channels, groups, epsilon));
    Value q = at.linear("to_q", h, channels, channels);
    Value k = at.linear("to_k", h, channels, channels);
    Value v = at.linear("to_v", h, channels, channels);
    Value attended = at.heads(q, k, v, channels / headSize, headSize, false);
    Value sum = at.addImage(x, at.image(at.linear("to_out.0", attended, channels, channels), x));
    return outputScale == 1 ? sum : m.multiply(sum, 1 / outputScale);
  }
}
