/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' SD3Transformer2DModel (Esser et al. 2024): a transformer in which the image's patches
 * and the text's tokens have weights of their own and attend to all together. Stable Diffusion 3.5
 * norms queries and keys, and in its medium size has a second attention among the patches alone.
 */
@Internal
public final class Sd3Transformer extends DenoisingTransformer {
  private static final double NORM_EPSILON = 1e-6;

  private final Sd3TransformerConfig config;
  private final int hidden;

  public Sd3Transformer(Sd3TransformerConfig config) {
    this.config = config;
    this.hidden = config.hiddenSize();
  }

  /**
   * {@code forward(sample [N,in,H,W], timestep float32 [N], context [N,T,contextSize], pooled
   * [N,pooledSize], kept [N,layers])} giving [N,out,H,W] in float32. H and W are multiples of the
   * patch size. Of each row, {@code kept} has 1 for blocks that it goes through and 0 for those
   * that are left out ({@code skip_layers}).
   */
  @Override
  Value emit(Method method, InnerBlocks inner) {
    Value sample = method.input("sample", 4);
    Value timestep = method.input("timestep", 1);
    Value context = method.input("context", 3);
    Value pooled = method.input("pooled", 2);
    Value kept = method.input("kept", 2);
    return method.toFloat(
        emit(new Scope(method, ""), sample, timestep, context, pooled, kept, inner));
  }

  @Override
  int blocks() {
    return config.layers();
  }

  private Value emit(
      Scope at,
      Value sample,
      Value timestep,
      Value context,
      Value pooled,
      Value kept,
      InnerBlocks inner) {
    Method m = at.method();
    int patch = config.patchSize();
    Value dtype = at.parameter("pos_embed.proj.bias", hidden);
    Value patches =
        at.conv2d(
            "pos_embed.proj",
            m.castAs(sample, dtype),
            config.inChannels(),
            hidden,
            patch,
            patch,
            0);
    Value x = m.add(at.tokens(patches), m.castAs(positions(at, patches), dtype));
    Scope embedding = at.child("time_text_embed");
    Value condition =
        m.add(
            TimestepEmbedding.ofTransformer(
                at,
                "time_frequencies",
                timestep,
                dtype,
                embedding.child("timestep_embedder"),
                hidden),
            TimestepEmbedding.project(
                embedding.child("text_embedder"),
                m.castAs(pooled, dtype),
                config.pooledSize(),
                hidden,
                Activation.SILU));
    Value text =
        at.linear("context_embedder", m.castAs(context, dtype), config.contextSize(), hidden);
    Value keptRows = m.castAs(kept, dtype);
    for (int i = 0; i < config.layers() && inner.computes(i, x); i++) {
      Value[] both =
          block(
              at.child("transformer_blocks", i),
              x,
              text,
              condition,
              m.unsqueeze(m.narrow(keptRows, 1, i, 1), 1),
              i);
      x = both[0];
      text = both[1];
    }
    x = inner.after(m, x);
    x = Modulation.continuous(at.child("norm_out"), x, condition, hidden);
    x = at.linear("proj_out", x, hidden, patch * patch * config.outChannels());
    return Patches.joinedChannelsLast(
        m, m.unflattenAs(x, 1, patches, 2), patch, config.outChannels());
  }

  /**
   * The middle of the table of positions, as large as the patches, [1,h*w,hidden]. It begins at
   * floor((max - h) / 2): so it is the first part of the table's last ceil((max + h) / 2), a size
   * that an image of h + max + 1 pixels has after it is halved. (The floor keeps ONNX Runtime from
   * making one operation of padding and pooling, which it then refuses.)
   */
  private Value positions(Scope at, Value patches) {
    Method m = at.method();
    int most = config.mostPatches();
    Value one = m.narrow(patches, 1, 0, 1);
    Value halved = m.averagePool(m.floor(m.pad(one, most + 1, 0, most + 1, 0)), 2);
    Value table =
        m.unflatten(
            at.parameter("pos_embed.pos_embed", 1, (long) most * most, hidden), 1, most, most);
    table = m.firstAs(m.lastAs(table, 1, halved, 2), 1, patches, 2);
    table = m.firstAs(m.lastAs(table, 2, halved, 3), 2, patches, 3);
    return m.flatten(table, 1, 2);
  }

  /**
   * Patches and text after a block; the last block's text is not used.
   *
   * @param kept [N,1,1], see {@link #emit(Method, InnerBlocks)}
   */
  private Value[] block(Scope at, Value x, Value text, Value condition, Value kept, int index) {
    Method m = at.method();
    boolean dual = config.dualLayers().contains(index);
    boolean last = index == config.layers() - 1;
    Modulation own =
        Modulation.of(at, "norm1.linear", condition, hidden, dual ? 9 : 6).keeping(kept);
    Value normed = own.normed(x);
    Value h = own.modulated(normed, 0, 1);
    Modulation texts =
        last ? null : Modulation.of(at, "norm1_context.linear", condition, hidden, 6).keeping(kept);
    Value c =
        last
            ? Modulation.continuous(at.child("norm1_context"), text, condition, hidden)
            : texts.modulated(texts.normed(text), 0, 1);
    Scope attention = at.child("attn");
    Value q = joint(attention, "to_q", "add_q_proj", "norm_q", "norm_added_q", h, c);
    Value k = joint(attention, "to_k", "add_k_proj", "norm_k", "norm_added_k", h, c);
    Value v = joint(attention, "to_v", "add_v_proj", null, null, h, c);
    Value attended = m.flatten(m.transpose(m.attention(q, k, v, false), 1, 2), 2, 3);
    Value ofImage = m.firstAs(attended, 1, x, 1);
    Value y = own.gated(x, 2, attention.linear("to_out.0", ofImage, hidden, hidden));
    if (dual) {
      Scope second = at.child("attn2");
      Value h2 = own.modulated(normed, 6, 7);
      Value q2 = heads(second, "to_q", "norm_q", h2);
      Value k2 = heads(second, "to_k", "norm_k", h2);
      Value v2 = heads(second, "to_v", null, h2);
      Value alone = m.flatten(m.transpose(m.attention(q2, k2, v2, false), 1, 2), 2, 3);
      y = own.gated(y, 8, second.linear("to_out.0", alone, hidden, hidden));
    }
    Value forward =
        Modulation.feedForward(at.child("ff"), own.modulated(own.normed(y), 3, 4), hidden);
    y = own.gated(y, 5, forward);
    if (last) {
      return new Value[] {y, text};
    }
    Value ofText = m.lastAs(attended, 1, text, 1);
    Value t = texts.gated(text, 2, attention.linear("to_add_out", ofText, hidden, hidden));
    forward =
        Modulation.feedForward(
            at.child("ff_context"), texts.modulated(texts.normed(t), 3, 4), hidden);
    return new Value[] {y, texts.gated(t, 5, forward)};
  }

  /** The patches' heads, then the text's, [N,heads,T,headSize]. */
  private Value joint(
      Scope at, String own, String added, String norm, String addedNorm, Value h, Value c) {
    return at.method().concatenate(2, heads(at, own, norm, h), heads(at, added, addedNorm, c));
  }

  private Value heads(Scope at, String name, String norm, Value x) {
    Method m = at.method();
    int size = config.headSize();
    Value split =
        m.transpose(m.unflatten(at.linear(name, x, hidden, hidden), 2, config.heads(), size), 1, 2);
    return norm == null || !config.normsQueries()
        ? split
        : m.rmsNorm(split, size, at.child(norm).parameter("weight", size), NORM_EPSILON);
  }
}
