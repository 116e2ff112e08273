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

  Value emit(Scope at, Value x, Value contextTokens) {
    Value h = at.groupNorm("norm", x, channels, groups, GROUP_NORM_EPSILON);
    h =
        linearProjection
            ? at.linear("proj_in", at.tokens(h), channels, channels)
            : at.tokens(at.conv1x1("proj_in", h, channels, channels));
    for (int i = 0; i < layers; i++) {
      h = block(at.child("transformer_blocks", i), h, contextTokens);
    }
    h =
        linearProjection
            ? at.image(at.linear("proj_out", h, channels, channels), x)
            : at.conv1x1("proj_out", at.image(h, x), channels, channels);
    return at.addImage(x, h);
  }

  private Value block(Scope at, Value x, Value contextTokens) {
    Method m = at.method();
    Value h = at.layerNorm("norm1", x, channels, LAYER_NORM_EPSILON);
    Value y =
        onlyCrossAttention
            ? attention(at.child("attn1"), h, contextTokens, context)
            : attention(at.child("attn1"), h, h, channels);
    y = m.add(y, x);
    y =
        m.add(
            attention(
                at.child("attn2"),
                at.layerNorm("norm2", y, channels, LAYER_NORM_EPSILON),
                contextTokens,
                context),
            y);
    return m.add(
        feedForward(at.child("ff"), at.layerNorm("norm3", y, channels, LAYER_NORM_EPSILON)), y);
  }

  private Value attention(Scope at, Value x, Value source, int sourceSize) {
    Value q = at.linearWithoutBias("to_q", x, channels, channels);
    Value k = at.linearWithoutBias("to_k", source, sourceSize, channels);
    Value v = at.linearWithoutBias("to_v", source, sourceSize, channels);
    Method m = at.method();
    Value attended =
        upcast
            ? m.castAs(
                at.heads(m.toFloat(q), m.toFloat(k), m.toFloat(v), heads, channels / heads, false),
                q)
            : at.heads(q, k, v, heads, channels / heads, false);
    return at.linear("to_out.0", attended, channels, channels);
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
