/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;

/** Pieces that Sana's transformer and its autoencoder share. */
final class SanaBlocks {
  static final double NORM_EPSILON = 1e-5;

  private SanaBlocks() {}

  /**
   * A gated convolution between two of one pixel (diffusers' GLUMBConv), without what is around it.
   *
   * @param x [N,in,H,W]
   * @param inner channels of the gated ones
   */
  static Value gated(Scope at, Value x, int in, int inner, int out) {
    Method m = at.method();
    Value h = m.silu(at.conv1x1("conv_inverted", x, in, 2 * inner));
    Scope depth = at.child("conv_depth");
    h =
        m.conv2d(
            h,
            depth.parameter("weight", 2 * inner, 1, 3, 3),
            depth.parameter("bias", 2 * inner),
            1,
            1,
            2 * inner);
    Value gate = m.silu(m.narrow(h, 1, inner, inner));
    return at.conv2dWithoutBias(
        "conv_point", m.multiply(m.narrow(h, 1, 0, inner), gate), inner, out, 1, 1, 0);
  }

  /** A norm of each pixel's channels, with a bias: [N,C,H,W]. */
  static Value norm(Scope at, String name, Value x, int channels) {
    Method m = at.method();
    Scope layer = at.child(name);
    Value normed =
        m.rmsNorm(
            m.permute(x, 0, 2, 3, 1), channels, layer.parameter("weight", channels), NORM_EPSILON);
    return m.permute(m.add(normed, layer.parameter("bias", channels)), 0, 3, 1, 2);
  }

  /**
   * Attention whose scores are products, so that it takes as long as there are tokens: keys and
   * values are summed up first (Katharopoulos et al. 2020, with ReLU). In float32.
   *
   * @param q [N,heads,d,T], as are k and v
   */
  static Value linear(Method m, Value q, Value k, Value v) {
    Value query = m.toFloat(m.relu(q));
    Value key = m.toFloat(m.relu(k));
    Value value = m.toFloat(v);
    // A row of ones sums up the keys.
    Value one = m.add(m.multiply(m.narrow(value, 2, 0, 1), 0), 1);
    Value sums = m.matrixProduct(value, m.transpose(key, 2, 3));
    Value weights = m.matrixProduct(one, m.transpose(key, 2, 3));
    return m.castAs(
        m.divide(m.matrixProduct(sums, query), m.add(m.matrixProduct(weights, query), 1e-15)), q);
  }
}
