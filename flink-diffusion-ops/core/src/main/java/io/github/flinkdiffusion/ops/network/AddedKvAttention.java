/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;

/**
 * Attention of an image's pixels to the context's tokens and to each other at once, with the
 * shortcut around it: diffusers' Attention with AttnAddedKVProcessor, as unCLIP, Kandinsky and
 * DeepFloyd IF have it.
 *
 * @param channels of the image
 * @param headSize channels of one head, a divisor of channels
 * @param context size of a context token
 * @param groups of the norm before
 * @param contextAlone pixels do not see each other ({@code only_cross_attention})
 * @param contextNorm of the context's tokens ({@code cross_attention_norm})
 */
record AddedKvAttention(
    int channels,
    int headSize,
    int context,
    int groups,
    boolean contextAlone,
    ContextNorm contextNorm) {

  /** {@code cross_attention_norm}. */
  enum ContextNorm {
    NONE,
    /** Over each token, which must have as many numbers as the image has channels. */
    LAYER_NORM,
    /** Over all tokens, in {@link #CONTEXT_GROUPS} groups. */
    GROUP_NORM
  }

  /** The reference has no key for it. */
  static final int CONTEXT_GROUPS = 32;

  /** Attention's own, not the UNet's {@code norm_eps}. */
  private static final double EPSILON = 1e-5;

  Value emit(Scope at, Value x, Value contextTokens) {
    Method m = at.method();
    Value h = at.tokens(at.groupNorm("group_norm", x, channels, groups, EPSILON));
    Value source = normed(at, contextTokens);
    Value q = at.linear("to_q", h, channels, channels);
    Value k = at.linear("add_k_proj", source, context, channels);
    Value v = at.linear("add_v_proj", source, context, channels);
    if (!contextAlone) {
      k = m.concatenate(1, k, at.linear("to_k", h, channels, channels));
      v = m.concatenate(1, v, at.linear("to_v", h, channels, channels));
    }
    Value attended = at.heads(q, k, v, channels / headSize, headSize, false);
    return at.addImage(x, at.image(at.linear("to_out.0", attended, channels, channels), x));
  }

  private Value normed(Scope at, Value tokens) {
    Method m = at.method();
    return switch (contextNorm) {
      case NONE -> tokens;
      case LAYER_NORM -> at.layerNorm("norm_cross", tokens, channels, EPSILON);
      case GROUP_NORM ->
          m.transpose(
              at.groupNorm(
                  "norm_cross", m.transpose(tokens, 1, 2), context, CONTEXT_GROUPS, EPSILON),
              1,
              2);
    };
  }
}
