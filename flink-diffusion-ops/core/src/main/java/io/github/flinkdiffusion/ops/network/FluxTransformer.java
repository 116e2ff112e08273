/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' FluxTransformer2DModel (Black Forest Labs 2024): blocks in which the text's tokens and
 * the image's have weights of their own, then blocks of attention and feed-forward side by side in
 * which they share them. Positions are rotary: the text's are zero, the image's row and column.
 * Four pixels of the sample are one token; the graph packs and unpacks them.
 */
@Internal
public final class FluxTransformer extends DenoisingTransformer {
  private static final double NORM_EPSILON = 1e-6;
  private static final double BASE = 10_000;

  /** Timesteps and guidance scales are given in thousandths. */
  private static final double THOUSAND = 1000;

  private final FluxTransformerConfig config;
  private final int hidden;

  public FluxTransformer(FluxTransformerConfig config) {
    this.config = config;
    this.hidden = config.hiddenSize();
  }

  /**
   * {@code forward(sample [N,in,H,W], timestep float32 [N] of 0 to 1000, context [N,T,contextSize],
   * pooled [N,pooledSize])} giving [N,out,H,W] in float32; H and W are even. If the config says so,
   * the guidance scale [N,1] comes last.
   */
  @Override
  Value emit(Method method, InnerBlocks inner) {
    Value sample = method.input("sample", 4);
    Value timestep = method.input("timestep", 1);
    Value context = method.input("context", 3);
    Value pooled = method.input("pooled", 2);
    Value guidance = config.guided() ? method.input("guidance", 2) : null;
    return method.toFloat(
        emit(new Scope(method, ""), sample, timestep, context, pooled, guidance, inner));
  }

  /** Both streams' blocks, and the others together as one. */
  @Override
  int blocks() {
    return config.layers() + (config.singleLayers() > 0 ? 1 : 0);
  }

  /**
   * @param guidance null where the network has none
   */
  private Value emit(
      Scope at,
      Value sample,
      Value timestep,
      Value context,
      Value pooled,
      Value guidance,
      InnerBlocks inner) {
    Method m = at.method();
    Value dtype = at.parameter("x_embedder.bias", hidden);
    Value grid = m.flatten(Patches.channelsFirst(m, m.castAs(sample, dtype), 2), 3, 5);
    Value x = at.linear("x_embedder", m.flatten(grid, 1, 2), 4 * config.inChannels(), hidden);
    Scope embedding = at.child("time_text_embed");
    Value condition = scalar(embedding, "timestep_embedder", timestep, dtype);
    if (guidance != null) {
      Value scale = m.multiply(m.squeeze(guidance, 1), THOUSAND);
      condition = m.add(condition, scalar(embedding, "guidance_embedder", scale, dtype));
    }
    condition =
        m.add(
            condition,
            TimestepEmbedding.project(
                embedding.child("text_embedder"),
                m.castAs(pooled, dtype),
                config.pooledSize(),
                hidden,
                Activation.SILU));
    Value text =
        at.linear("context_embedder", m.castAs(context, dtype), config.contextSize(), hidden);
    Value angles = angles(at, grid, text);
    Value cos = m.cos(angles);
    Value sin = m.sin(angles);
    for (int i = 0; i < config.layers() && inner.computes(i, x); i++) {
      Value[] both = block(at.child("transformer_blocks", i), x, text, condition, cos, sin);
      x = both[0];
      text = both[1];
    }
    if (config.singleLayers() > 0 && inner.computes(config.layers(), x)) {
      Value all = m.concatenate(1, text, x);
      for (int i = 0; i < config.singleLayers(); i++) {
        all = single(at.child("single_transformer_blocks", i), all, condition, cos, sin);
      }
      x = m.lastAs(all, 1, x, 1);
    }
    x = inner.after(m, x);
    x = Modulation.continuous(at.child("norm_out"), x, condition, hidden);
    x = at.linear("proj_out", x, hidden, 4 * config.outChannels());
    return Patches.joinedChannelsFirst(m, m.unflattenAs(x, 1, grid, 1), 2, config.outChannels());
  }

  private Value scalar(Scope at, String name, Value values, Value dtype) {
    return TimestepEmbedding.ofTransformer(
        at, name + "_frequencies", values, dtype, at.child(name), hidden);
  }

  /** Of the text's tokens, then of the image's, [1,T,headSize / 2] in float32. */
  private Value angles(Scope at, Value grid, Value text) {
    Method m = at.method();
    int half = config.headSize() / 2;
    int first = config.axes().get(0) / 2;
    int rows = config.axes().get(1) / 2;
    int columns = config.axes().get(2) / 2;
    // Each axis has its frequencies at its own places, and zeros elsewhere.
    Value ofRow = frequencies(at, "row_frequencies", first, rows);
    Value ofColumn = frequencies(at, "column_frequencies", first + rows, columns);
    Value row = m.multiply(m.unsqueeze(m.indices(grid, 1), 1), ofRow);
    Value column = m.multiply(m.unsqueeze(m.indices(grid, 2), 1), ofColumn);
    Value image = m.flatten(m.add(m.unsqueeze(row, 1), m.unsqueeze(column, 0)), 0, 1);
    Value still = m.graph().constant(at.prefix() + "no_frequencies", new float[half]);
    Value texts = m.multiply(m.unsqueeze(m.indices(text, 1), 1), still);
    return m.concatenate(1, m.unsqueeze(texts, 0), m.unsqueeze(image, 0));
  }

  private Value frequencies(Scope at, String name, int start, int count) {
    float[] values = new float[config.headSize() / 2];
    for (int i = 0; i < count; i++) {
      values[start + i] = (float) (1 / Math.pow(BASE, (double) i / count));
    }
    return at.method().graph().constant(at.prefix() + name, values);
  }

  private Value[] block(Scope at, Value x, Value text, Value condition, Value cos, Value sin) {
    Method m = at.method();
    Modulation own = Modulation.of(at, "norm1.linear", condition, hidden, 6);
    Modulation texts = Modulation.of(at, "norm1_context.linear", condition, hidden, 6);
    Value h = own.modulated(own.normed(x), 0, 1);
    Value c = texts.modulated(texts.normed(text), 0, 1);
    Scope attention = at.child("attn");
    Value q = joint(attention, "add_q_proj", "to_q", "norm_added_q", "norm_q", c, h);
    Value k = joint(attention, "add_k_proj", "to_k", "norm_added_k", "norm_k", c, h);
    Value v = joint(attention, "add_v_proj", "to_v", null, null, c, h);
    Value attended = attended(m, q, k, v, cos, sin);
    Value ofImage = m.lastAs(attended, 1, x, 1);
    Value ofText = m.firstAs(attended, 1, text, 1);
    Value y = own.gated(x, 2, attention.linear("to_out.0", ofImage, hidden, hidden));
    y = own.gated(y, 5, forward(at.child("ff"), own, y));
    Value t = texts.gated(text, 2, attention.linear("to_add_out", ofText, hidden, hidden));
    t = texts.gated(t, 5, forward(at.child("ff_context"), texts, t));
    return new Value[] {y, t};
  }

  private Value forward(Scope at, Modulation modulation, Value x) {
    return Modulation.feedForward(at, modulation.modulated(modulation.normed(x), 3, 4), hidden);
  }

  private Value single(Scope at, Value x, Value condition, Value cos, Value sin) {
    Method m = at.method();
    Modulation own = Modulation.of(at, "norm.linear", condition, hidden, 3);
    Value h = own.modulated(own.normed(x), 0, 1);
    Value beside = m.geluTanh(at.linear("proj_mlp", h, hidden, 4 * hidden));
    Scope attention = at.child("attn");
    Value q = heads(attention, "to_q", "norm_q", h);
    Value k = heads(attention, "to_k", "norm_k", h);
    Value v = heads(attention, "to_v", null, h);
    Value both = m.concatenate(2, attended(m, q, k, v, cos, sin), beside);
    return own.gated(x, 2, at.linear("proj_out", both, 5 * hidden, hidden));
  }

  private Value attended(Method m, Value q, Value k, Value v, Value cos, Value sin) {
    int half = config.headSize() / 2;
    Value result =
        m.attention(m.rotate(q, cos, sin, half, true), m.rotate(k, cos, sin, half, true), v, false);
    return m.flatten(m.transpose(result, 1, 2), 2, 3);
  }

  private Value joint(
      Scope at, String first, String second, String norm, String secondNorm, Value c, Value h) {
    return at.method().concatenate(2, heads(at, first, norm, c), heads(at, second, secondNorm, h));
  }

  private Value heads(Scope at, String name, String norm, Value x) {
    Method m = at.method();
    int size = config.headSize();
    Value split =
        m.transpose(m.unflatten(at.linear(name, x, hidden, hidden), 2, config.heads(), size), 1, 2);
    return norm == null
        ? split
        : m.rmsNorm(split, size, at.child(norm).parameter("weight", size), NORM_EPSILON);
  }
}
