/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Value;

/**
 * diffusers' KAttentionBlock: attention of pixels to each other, where it is asked for, and to the
 * context's tokens, each with a shortcut around it. Their norms see the time embedding.
 *
 * @param channels of the image
 * @param headSize channels of one head, a divisor of channels
 * @param context size of a context token
 * @param timeEmbedding size of the time embedding
 * @param seesPixels whether pixels see each other first
 */
record KAttention(int channels, int headSize, int context, int timeEmbedding, boolean seesPixels) {

  /** The block's own, not the UNet's {@code norm_eps}. */
  private static final double EPSILON = 1e-5;

  Value emit(Scope at, Value x, Value time, Value contextTokens) {
    Value h = x;
    if (seesPixels) {
      Value pixels = at.tokens(norm().emit(at.child("norm1"), h, time));
      h = at.addImage(h, at.image(attention(at.child("attn1"), pixels, pixels, channels), x));
    }
    Value pixels = at.tokens(norm().emit(at.child("norm2"), h, time));
    Scope cross = at.child("attn2");
    Value tokens = cross.layerNorm("norm_cross", contextTokens, context, EPSILON);
    return at.addImage(h, at.image(attention(cross, pixels, tokens, context), x));
  }

  private AdaGroupNorm norm() {
    return new AdaGroupNorm(channels, KLevels.groups(channels), timeEmbedding, EPSILON);
  }

  private Value attention(Scope at, Value pixels, Value source, int sourceSize) {
    Value q = at.linear("to_q", pixels, channels, channels);
    Value k = at.linear("to_k", source, sourceSize, channels);
    Value v = at.linear("to_v", source, sourceSize, channels);
    Value attended = at.heads(q, k, v, channels / headSize, headSize, false);
    return at.linear("to_out.0", attended, channels, channels);
  }
}
