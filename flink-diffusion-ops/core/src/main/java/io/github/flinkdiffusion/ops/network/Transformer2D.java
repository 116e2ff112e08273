/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;

/**
 * diffusers' Transformer2DModel over image features: self-attention, attention to the context, and
 * a gated feed-forward, around which the image is turned into tokens and back.
 *
 * @param channels of the image
 * @param heads attention heads; channels / heads is the size of one
 * @param context size of a context token ({@code cross_attention_dim})
 * @param groups of the group norm
 * @param layers BasicTransformerBlocks in a row ({@code transformer_layers_per_block})
 * @param linearProjection project tokens by a linear layer ({@code use_linear_projection}) instead
 *     of a 1x1 convolution
 * @param onlyCrossAttention the first attention, too, looks at the context ({@code
 *     only_cross_attention})
 * @param upcast attention in float32 ({@code upcast_attention})
 */
record Transformer2D(
    int channels,
    int heads,
    int context,
    int groups,
    int layers,
    boolean linearProjection,
    boolean onlyCrossAttention,
    boolean upcast) {

  /** Transformer2DModel's own norm; not the UNet's {@code norm_eps}. */
  private static final double GROUP_NORM_EPSILON = 1e-6;

  private static final double LAYER_NORM_EPSILON = 1e-5;

  /**
   * Objects that tokens of the image see between its attention to itself and to the context
   * (diffusers' GatedSelfAttentionDense).
   *
   * @param objects [N,M,context]
   * @param gate [N,1,1]: 1, or 0 for rows that are to be as if there were no objects
   */
  record Grounding(Value objects, Value gate) {}

  /**
   * What tokens of the image see beside each other and the context.
   *
   * @param grounding null where no row sees objects
   * @param images of IP-Adapters; null where no row sees images
   * @param changes null where no row changes anything
   */
  record Beside(Grounding grounding, IpAdapters.Tokens images, GuidedUNet changes) {
    static final Beside NOTHING = new Beside(null, null, null);
  }

  Value emit(Scope at, Value x, Value contextTokens, Beside beside) {
    Value h = at.groupNorm("norm", x, channels, groups, GROUP_NORM_EPSILON);
    h =
        linearProjection
            ? at.linear("proj_in", at.tokens(h), channels, channels)
            : at.tokens(at.conv1x1("proj_in", h, channels, channels));
    for (int i = 0; i < layers; i++) {
      h = block(at.child("transformer_blocks", i), h, contextTokens, beside);
    }
    h =
        linearProjection
            ? at.image(at.linear("proj_out", h, channels, channels), x)
            : at.conv1x1("proj_out", at.image(h, x), channels, channels);
    return at.addImage(x, h);
  }

  private Value block(Scope at, Value x, Value contextTokens, Beside beside) {
    Method m = at.method();
    Value h = at.layerNorm("norm1", x, channels, LAYER_NORM_EPSILON);
    Value y =
        onlyCrossAttention
            ? attention(at.child("attn1"), h, contextTokens, context, null, null)
            : attention(at.child("attn1"), h, h, channels, null, beside.changes());
    y = m.add(y, x);
    if (beside.grounding() != null) {
      y = grounded(at.child("fuser"), y, beside.grounding());
    }
    y =
        m.add(
            attention(
                at.child("attn2"),
                at.layerNorm("norm2", y, channels, LAYER_NORM_EPSILON),
                contextTokens,
                context,
                beside.images(),
                null),
            y);
    return m.add(
        feedForward(at.child("ff"), at.layerNorm("norm3", y, channels, LAYER_NORM_EPSILON)), y);
  }

  private Value attention(
      Scope at,
      Value x,
      Value source,
      int sourceSize,
      IpAdapters.Tokens images,
      GuidedUNet changes) {
    Value q = at.linearWithoutBias("to_q", x, channels, channels);
    Value k = at.linearWithoutBias("to_k", source, sourceSize, channels);
    Value v = at.linearWithoutBias("to_v", source, sourceSize, channels);
    return attention(at, q, k, v, upcast, images, changes);
  }

  private Value attention(
      Scope at,
      Value q,
      Value k,
      Value v,
      boolean upcast,
      IpAdapters.Tokens images,
      GuidedUNet changes) {
    Method m = at.method();
    Value attended =
        upcast
            ? m.castAs(
                at.heads(m.toFloat(q), m.toFloat(k), m.toFloat(v), heads, channels / heads, false),
                q)
            : at.heads(q, k, v, heads, channels / heads, false);
    if (changes != null) {
      attended = changes.attention(at.prefix().substring(0, at.prefix().length() - 1), attended, v);
    }
    if (images != null) {
      attended = m.add(attended, images.added(at, q, channels, heads));
    }
    return at.linear("to_out.0", attended, channels, channels);
  }

  /** Tokens of the image see each other and the objects; what objects become is not looked at. */
  private Value grounded(Scope at, Value x, Grounding grounding) {
    Method m = at.method();
    Value objects = at.linear("linear", grounding.objects(), context, channels);
    Value own = at.layerNorm("norm1", x, channels, LAYER_NORM_EPSILON);
    Value all = m.concatenate(1, own, at.layerNorm("norm1", objects, channels, LAYER_NORM_EPSILON));
    Scope attention = at.child("attn");
    Value attended =
        attention(
            attention,
            attention.linearWithoutBias("to_q", own, channels, channels),
            attention.linearWithoutBias("to_k", all, channels, channels),
            attention.linearWithoutBias("to_v", all, channels, channels),
            false,
            null,
            null);
    Value y = m.add(x, gated(at, "alpha_attn", grounding, attended));
    Value fed = feedForward(at.child("ff"), at.layerNorm("norm2", y, channels, LAYER_NORM_EPSILON));
    return m.add(y, gated(at, "alpha_dense", grounding, fed));
  }

  private static Value gated(Scope at, String weight, Grounding grounding, Value y) {
    Method m = at.method();
    return m.multiply(m.multiply(grounding.gate(), m.tanh(at.parameter(weight))), y);
  }

  /** GEGLU (Shazeer 2020): one half of the projection gates the other. */
  private Value feedForward(Scope at, Value x) {
    Method m = at.method();
    int inner = 4 * channels;
    Value projected = at.linear("net.0.proj", x, channels, 2 * inner);
    Value gated =
        m.multiply(m.narrow(projected, 2, 0, inner), m.gelu(m.narrow(projected, 2, inner, inner)));
    return at.linear("net.2", gated, inner, channels);
  }
}
