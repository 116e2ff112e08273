/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' SanaTransformer2DModel (Xie et al. 2024): linear attention between patches, attention
 * to a text, and gated convolutions where other transformers have a feed-forward.
 */
@Internal
public final class Sana extends DenoisingTransformer {
  private static final double HEAD_EPSILON = 1e-5;

  private final SanaConfig config;

  public Sana(SanaConfig config) {
    this.config = config;
  }

  /**
   * {@code forward(sample [N,in,H,W], timestep float32 [N], text [N,T,caption_channels], length
   * float32 [N])} giving [N,out,H,W] in float32. The timestep is the scheduler's; {@code length}
   * counts the text's own tokens.
   */
  @Override
  Value emit(Method method, InnerBlocks inner) {
    Value sample = method.input("sample", 4);
    Value timestep = method.input("timestep", 1);
    Value text = method.input("text", 3);
    Value length = method.input("length", 1);
    return method.toFloat(emit(new Scope(method, ""), sample, timestep, text, length, inner));
  }

  @Override
  int blocks() {
    return config.layers();
  }

  private Value emit(
      Scope at, Value sample, Value timestep, Value text, Value length, InnerBlocks inner) {
    Method m = at.method();
    int size = config.size();
    int patch = config.patchSize();
    Value dtype = at.parameter("patch_embed.proj.bias", size);
    Value grid =
        at.conv2d(
            "patch_embed.proj",
            m.castAs(sample, dtype),
            config.inChannels(),
            size,
            patch,
            patch,
            0);
    Value x = at.tokens(grid);
    if (config.interpolation() > 0) {
      Value positions =
          PatchPositions.of(at, grid, size, config.sampleSize() / patch, config.interpolation());
      x = m.add(x, m.castAs(positions, dtype));
    }
    Scope single = at.child("time_embed");
    Value embedded =
        TimestepEmbedding.ofTransformer(
            at,
            "frequencies",
            m.multiply(timestep, config.timeScale()),
            dtype,
            single.child("emb.timestep_embedder"),
            size);
    Value time = SingleModulation.time(single, embedded, size);

    Value words =
        SingleModulation.words(
            at.child("caption_projection"), m.castAs(text, dtype), config.textSize(), size);
    words = m.rmsNorm(words, size, at.parameter("caption_norm.weight", size), 1e-5);
    Value bias = Rotary.bias(m, Rotary.first(m, length, m.indices(text, 1)), words);
    for (int i = 0; i < config.layers() && inner.computes(i, x); i++) {
      x = block(at.child("transformer_blocks", i), x, grid, time, words, bias);
    }
    x = inner.after(m, x);
    return SingleModulation.image(at, x, embedded, grid, size, patch, config.outChannels());
  }

  private Value block(Scope at, Value x, Value grid, Value time, Value words, Value bias) {
    Method m = at.method();
    int size = config.size();
    // Shift, scale and gate of attention, then of the convolutions.
    Value[] parts = SingleModulation.parts(at, time, 6, size);
    Value normed = m.layerNorm(x, size, null, null, config.epsilon());
    Value h = SingleModulation.modulated(m, normed, parts, 0);
    Value y = m.add(x, m.multiply(parts[2], among(at.child("attn1"), h)));
    y = m.add(toText(at.child("attn2"), y, words, bias), y);
    normed =
        config.normWeights()
            ? at.layerNorm("norm2", y, size, config.epsilon())
            : m.layerNorm(y, size, null, null, config.epsilon());
    h = at.image(SingleModulation.modulated(m, normed, parts, 3), grid);
    h = SanaBlocks.gated(at.child("ff"), h, size, (int) (config.ratio() * size), size);
    return m.add(y, m.multiply(parts[5], at.tokens(h)));
  }

  private Value among(Scope at, Value x) {
    Method m = at.method();
    Value[] heads = new Value[3];
    String[] names = {"q", "k", "v"};
    for (int i = 0; i < 3; i++) {
      Value all = projected(at, names[i], x, config.attentionBias());
      heads[i] = m.unflatten(m.transpose(all, 1, 2), 1, config.heads(), config.headSize());
    }
    Value attended = SanaBlocks.linear(m, heads[0], heads[1], heads[2]);
    attended = m.transpose(m.flatten(attended, 1, 2), 1, 2);
    return at.linear("to_out.0", attended, config.size(), config.size());
  }

  private Value toText(Scope at, Value x, Value words, Value bias) {
    Method m = at.method();
    Value[] heads = new Value[3];
    String[] names = {"q", "k", "v"};
    for (int i = 0; i < 3; i++) {
      Value all = projected(at, names[i], i == 0 ? x : words, true);
      heads[i] = Rotary.heads(m, all, config.crossHeads(), config.crossHeadSize());
    }
    Value attended = m.attention(heads[0], heads[1], heads[2], bias);
    return at.linear("to_out.0", Rotary.joined(m, attended), config.size(), config.size());
  }

  private Value projected(Scope at, String name, Value x, boolean bias) {
    int size = config.size();
    Value all =
        bias
            ? at.linear("to_" + name, x, size, size)
            : at.linearWithoutBias("to_" + name, x, size, size);
    return config.headNorms() && !name.equals("v")
        ? at.method()
            .rmsNorm(all, size, at.parameter("norm_" + name + ".weight", size), HEAD_EPSILON)
        : all;
  }
}
