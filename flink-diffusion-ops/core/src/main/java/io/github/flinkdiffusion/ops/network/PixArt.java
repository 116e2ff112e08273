/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' PixArtTransformer2DModel (Chen et al. 2023): a transformer over patches of a latent,
 * conditioned on a text by cross-attention, and on the timestep by one table for all blocks.
 */
@Internal
public final class PixArt extends DenoisingTransformer {
  private final PixArtConfig config;

  public PixArt(PixArtConfig config) {
    this.config = config;
  }

  /**
   * {@code forward(sample [N,in,H,W], timestep float32 [N], text [N,T,caption_channels], length
   * float32 [N])} giving [N,out,H,W] in float32; {@code length} counts the text's own tokens. A
   * network conditioned on sizes takes {@code sides float32 [N,3]} behind: height and width in
   * pixels and their ratio.
   */
  @Override
  Value emit(Method method, InnerBlocks inner) {
    Value sample = method.input("sample", 4);
    Value timestep = method.input("timestep", 1);
    Value text = method.input("text", 3);
    Value length = method.input("length", 1);
    Value sides = config.sized() ? method.input("sides", 2) : null;
    return method.toFloat(
        emit(new Scope(method, ""), sample, timestep, text, length, sides, inner));
  }

  @Override
  int blocks() {
    return config.layers();
  }

  private Value emit(
      Scope at,
      Value sample,
      Value timestep,
      Value text,
      Value length,
      Value sides,
      InnerBlocks inner) {
    Method m = at.method();
    int size = config.size();
    int patch = config.patchSize();
    Value dtype = at.parameter("pos_embed.proj.bias", size);
    Value grid =
        at.conv2d(
            "pos_embed.proj", m.castAs(sample, dtype), config.inChannels(), size, patch, patch, 0);
    Value positions =
        PatchPositions.of(at, grid, size, config.sampleSize() / patch, config.interpolation());
    Value x = m.add(at.tokens(grid), m.castAs(positions, dtype));

    Scope single = at.child("adaln_single");
    Value embedded = embedded(single.child("emb"), timestep, "time", "timestep_embedder", size);
    if (sides != null) {
      // Three numbers, each of a third of the size: height, width, ratio.
      Value both = m.narrow(sides, 1, 0, 2);
      Value resolution =
          embedded(single.child("emb"), both, "size", "resolution_embedder", size / 3);
      Value ratio =
          embedded(
              single.child("emb"),
              m.narrow(sides, 1, 2, 1),
              "size",
              "aspect_ratio_embedder",
              size / 3);
      embedded =
          m.add(embedded, m.concatenate(1, m.flatten(resolution, 1, 2), m.flatten(ratio, 1, 2)));
    }
    Value time = SingleModulation.time(single, embedded, size);

    Value words =
        SingleModulation.words(
            at.child("caption_projection"), m.castAs(text, dtype), config.textSize(), size);
    Value bias = Rotary.bias(m, Rotary.first(m, length, m.indices(text, 1)), words);
    for (int i = 0; i < config.layers() && inner.computes(i, x); i++) {
      x = block(at.child("transformer_blocks", i), x, time, words, bias);
    }
    x = inner.after(m, x);
    return SingleModulation.image(at, x, embedded, grid, size, patch, config.outChannels());
  }

  private static Value embedded(Scope at, Value numbers, String name, String layers, int size) {
    Value dtype = at.parameter(layers + ".linear_1.bias", size);
    return TimestepEmbedding.ofTransformer(
        at, name + "_frequencies", numbers, dtype, at.child(layers), size);
  }

  private Value block(Scope at, Value x, Value time, Value words, Value bias) {
    Method m = at.method();
    int size = config.size();
    // Shift, scale and gate of attention, then of the feed-forward.
    Value[] parts = SingleModulation.parts(at, time, 6, size);
    Value h = modulated(m, x, parts, 0);
    Value y = m.add(m.multiply(parts[2], attention(at.child("attn1"), h, h, size, null)), x);
    y = m.add(attention(at.child("attn2"), y, words, config.contextSize(), bias), y);
    h = modulated(m, y, parts, 3);
    Scope feedForward = at.child("ff");
    h = m.geluTanh(feedForward.linear("net.0.proj", h, size, 4 * size));
    return m.add(m.multiply(parts[5], feedForward.linear("net.2", h, 4 * size, size)), y);
  }

  private Value modulated(Method m, Value x, Value[] parts, int index) {
    Value normed = m.layerNorm(x, config.size(), null, null, config.epsilon());
    return SingleModulation.modulated(m, normed, parts, index);
  }

  /**
   * @param bias null where all of {@code from} is seen
   */
  private Value attention(Scope at, Value x, Value from, int fromSize, Value bias) {
    Method m = at.method();
    int size = config.size();
    Value q = projected(at, "to_q", x, size);
    Value k = projected(at, "to_k", from, fromSize);
    Value v = projected(at, "to_v", from, fromSize);
    Value attended = bias == null ? m.attention(q, k, v, false) : m.attention(q, k, v, bias);
    return at.linear("to_out.0", Rotary.joined(m, attended), size, size);
  }

  private Value projected(Scope at, String name, Value x, int in) {
    Value all =
        config.attentionBias()
            ? at.linear(name, x, in, config.size())
            : at.linearWithoutBias(name, x, in, config.size());
    return Rotary.heads(at.method(), all, config.heads(), config.headSize());
  }
}
