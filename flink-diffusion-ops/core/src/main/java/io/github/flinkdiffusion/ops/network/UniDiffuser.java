/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.ArrayDeque;
import java.util.Deque;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' UniDiffuserModel (Bao et al. 2023): a U-ViT, which is a transformer whose later blocks
 * also see what the earlier ones gave, over the tokens of a latent, of CLIP's view of the image,
 * and of a text. Image and text each have a timestep of their own, so one network generates either
 * from the other, both, or one alone.
 */
@Internal
public final class UniDiffuser {
  /** Of all norms. */
  private static final double EPSILON = 1e-5;

  private final UniDiffuserConfig config;

  public UniDiffuser(UniDiffuserConfig config) {
    this.config = config;
  }

  /**
   * A graph with {@code forward(sample [N,channels,s,s], image [N,clip_img_dim], text
   * [N,num_text_tokens,text_dim], timestep_img [N], timestep_text [N])}, all float32, and {@code
   * data_type} int64 [N] if the config has one; s is {@code sample_size}. It gives the noise of all
   * three, one behind the other, [N,values].
   */
  public Graph graph() {
    Graph graph = new Graph();
    Method m = graph.method("forward");
    Value sample = m.input("sample", 4);
    Value image = m.input("image", 2);
    Value text = m.input("text", 3);
    Value imageTime = m.input("timestep_img", 1);
    Value textTime = m.input("timestep_text", 1);
    Value dataType = config.dataType() ? m.integers("data_type", 1) : null;
    m.returns(
        m.toFloat(emit(new Scope(m, ""), sample, image, text, imageTime, textTime, dataType)));
    return graph;
  }

  private Value emit(
      Scope at,
      Value sample,
      Value image,
      Value text,
      Value imageTime,
      Value textTime,
      Value dataType) {
    Method m = at.method();
    int hidden = config.hiddenSize();
    int patch = config.patchSize();
    int patches = config.side() * config.side();
    int texts = config.textTokens();
    Value dtype = at.parameter("clip_img_in.bias", hidden);
    Value latents =
        at.tokens(
            at.conv2d(
                "vae_img_in.proj",
                m.castAs(sample, dtype),
                config.channels(),
                hidden,
                patch,
                patch,
                0));
    Value seen =
        m.unsqueeze(
            at.linear("clip_img_in", m.castAs(image, dtype), config.imageSize(), hidden), 1);
    Value words = at.linear("text_in", m.castAs(text, dtype), config.textSize(), hidden);
    Value first = time(at, "timestep_img", imageTime, dtype);
    Value second = time(at, "timestep_text", textTime, dtype);
    Value positions = at.parameter("pos_embed", 1, 3 + texts + patches, hidden);
    Value x;
    int before = 2;
    if (dataType == null) {
      x = m.concatenate(1, first, second, words, seen, latents);
    } else {
      Value type =
          m.unsqueeze(
              m.embedding(dataType, at.parameter("data_type_token_embedding.weight", 2, hidden)),
              1);
      x = m.concatenate(1, first, second, type, words, seen, latents);
      positions =
          m.concatenate(
              1,
              m.narrow(positions, 1, 0, before),
              at.parameter("data_type_pos_embed_token", 1, 1, hidden),
              m.narrow(positions, 1, before, 1L + texts + patches));
      before++;
    }
    x = blocks(at.child("transformer"), m.add(x, positions));
    Value textNoise =
        at.linear("text_out", m.narrow(x, 1, before, texts), hidden, config.textSize());
    Value imageNoise =
        at.linear(
            "clip_img_out", m.narrow(x, 1, (long) before + texts, 1), hidden, config.imageSize());
    Value latentNoise =
        at.linear(
            "vae_img_out",
            m.narrow(x, 1, (long) before + texts + 1, patches),
            hidden,
            patch * patch * config.channels());
    latentNoise = m.unflatten(latentNoise, 1, config.side(), config.side());
    latentNoise = m.unflatten(latentNoise, 3, patch, patch, config.channels());
    return m.concatenate(
        1,
        m.flatten(m.permute(latentNoise, 0, 5, 1, 3, 2, 4), 1, 5),
        m.flatten(imageNoise, 1, 2),
        m.flatten(textNoise, 1, 2));
  }

  /** A timestep's token, [N,1,hidden]. */
  private Value time(Scope at, String name, Value timestep, Value dtype) {
    Method m = at.method();
    int hidden = config.hiddenSize();
    Value time =
        m.castAs(
            TimestepEmbedding.sinusoidal(at, name + "_frequencies", timestep, hidden, true, 0),
            dtype);
    if (config.embeddedTimesteps()) {
      Scope embed = at.child(name + "_embed");
      Value h = m.silu(embed.linear("linear_1", time, hidden, 4 * hidden));
      time = embed.linear("linear_2", h, 4 * hidden, hidden);
    }
    return m.unsqueeze(time, 1);
  }

  private Value blocks(Scope at, Value tokens) {
    Method m = at.method();
    int hidden = config.hiddenSize();
    Deque<Value> skips = new ArrayDeque<>();
    Value x = tokens;
    for (int i = 0; i < config.layers() / 2; i++) {
      x = block(at.child("transformer_in_blocks", i), x);
      skips.push(x);
    }
    x = block(at.child("transformer_mid_block"), x);
    for (int i = 0; i < config.layers() / 2; i++) {
      Scope out = at.child("transformer_out_blocks", i);
      Scope skip = out.child("skip");
      x = skip.linear("skip_linear", m.concatenate(2, x, skips.pop()), 2 * hidden, hidden);
      x = block(out.child("block"), skip.layerNorm("norm", x, hidden, EPSILON));
    }
    return at.layerNorm("norm_out", x, hidden, EPSILON);
  }

  private Value block(Scope at, Value x) {
    return branch(at, "norm3", branch(at, "norm1", x, this::attention), this::feedForward);
  }

  private interface Branch {
    Value of(Scope at, Value x);
  }

  /** A branch and its norm, which stands before or behind it, on the branch or on both ways. */
  private Value branch(Scope at, String name, Value x, Branch branch) {
    Method m = at.method();
    if (config.normsResidual()) {
      Value begun = config.normsFirst() ? norm(at, name, x) : x;
      Value sum = m.add(branch.of(at, begun), begun);
      return config.normsFirst() ? sum : norm(at, name, sum);
    }
    Value added =
        config.normsFirst() ? branch.of(at, norm(at, name, x)) : norm(at, name, branch.of(at, x));
    return m.add(added, x);
  }

  private Value norm(Scope at, String name, Value x) {
    int hidden = config.hiddenSize();
    return config.learnedNorms()
        ? at.layerNorm(name, x, hidden, EPSILON)
        : at.method().layerNorm(x, hidden, null, null, EPSILON);
  }

  private Value attention(Scope block, Value x) {
    Scope at = block.child("attn1");
    int hidden = config.hiddenSize();
    Value attended =
        at.heads(
            projected(at, "to_q", x),
            projected(at, "to_k", x),
            projected(at, "to_v", x),
            config.heads(),
            config.headSize(),
            false);
    return at.linear("to_out.0", attended, hidden, hidden);
  }

  private Value projected(Scope at, String name, Value x) {
    int hidden = config.hiddenSize();
    return config.attentionBias()
        ? at.linear(name, x, hidden, hidden)
        : at.linearWithoutBias(name, x, hidden, hidden);
  }

  private Value feedForward(Scope block, Value x) {
    Method m = block.method();
    Scope at = block.child("ff");
    int hidden = config.hiddenSize();
    int inner = 4 * hidden;
    Value h =
        switch (config.feedForward()) {
          case GELU -> m.gelu(at.linear("net.0.proj", x, hidden, inner));
          case GELU_TANH -> m.geluTanh(at.linear("net.0.proj", x, hidden, inner));
          case GEGLU -> {
            Value both = at.linear("net.0.proj", x, hidden, 2 * inner);
            yield m.multiply(m.narrow(both, 2, 0, inner), m.gelu(m.narrow(both, 2, inner, inner)));
          }
        };
    return at.linear("net.2", h, inner, hidden);
  }
}
