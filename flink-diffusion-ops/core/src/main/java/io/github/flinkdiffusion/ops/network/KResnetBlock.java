/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;

/**
 * diffusers' ResnetBlockCondNorm2D: a residual block whose norms see the time embedding.
 *
 * @param in channels read
 * @param inner channels between the two convolutions
 * @param out channels written
 * @param innerGroups groups of the norm between them
 * @param timeEmbedding size of the time embedding, which the block does not activate
 * @param epsilon of the norms
 * @param activation {@code act_fn}
 */
record KResnetBlock(
    int in,
    int inner,
    int out,
    int innerGroups,
    int timeEmbedding,
    double epsilon,
    Activation activation) {

  Value emit(Scope at, Value x, Value time) {
    Value h = normed(at.child("norm1"), x, in, KLevels.groups(in), time);
    h = at.conv3x3("conv1", h, in, inner);
    h = normed(at.child("norm2"), h, inner, innerGroups, time);
    h = at.conv3x3("conv2", h, inner, out);
    Value shortcut = in == out ? x : at.conv2dWithoutBias("conv_shortcut", x, in, out, 1, 1, 0);
    return at.method().add(shortcut, h);
  }

  private Value normed(Scope norm, Value x, int channels, int groups, Value time) {
    Method m = norm.method();
    return activation.apply(
        m, new AdaGroupNorm(channels, groups, timeEmbedding, epsilon).emit(norm, x, time));
  }
}
