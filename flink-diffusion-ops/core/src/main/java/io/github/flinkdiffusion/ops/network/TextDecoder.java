/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' UniDiffuserTextDecoder: GPT-2 (Radford et al. 2019), which writes a text after vectors
 * that stand before it, and the layers that make a text encoder's states to such vectors.
 */
@Internal
public final class TextDecoder {
  /** The method that makes states smaller, in a network whose config says so. */
  public static final String ENCODE = "encode";

  /** The method that gives scores of the next token. */
  public static final String NEXT = "next";

  private final TextDecoderConfig config;

  public TextDecoder(TextDecoderConfig config) {
    this.config = config;
  }

  /**
   * A graph with {@link #NEXT}, which takes {@code prefix} [N,P,size], {@code ids} int64 [N,T] and
   * {@code last} int64 [N], and gives scores [N,vocabulary] of the token after the one at {@code
   * last}, counted from the prefix's first. What stands behind it is not seen. If the config has a
   * {@code prefix_hidden_dim}, {@link #ENCODE} makes [N,P,prefix_inner_dim] to [N,P,size].
   */
  public Graph graph() {
    Graph graph = new Graph();
    if (config.smallSize() > 0) {
      Method encode = graph.method(ENCODE);
      Value states = encode.input("states", 3);
      Scope at = new Scope(encode, "");
      Value bias = at.parameter("encode_prefix.bias", config.smallSize());
      encode.returns(
          encode.toFloat(
              at.linear(
                  "encode_prefix",
                  encode.castAs(states, bias),
                  config.prefixSize(),
                  config.smallSize())));
    }
    Method next = graph.method(NEXT);
    Value prefix = next.input("prefix", 3);
    Value ids = next.integers("ids", 2);
    Value last = next.integers("last", 1);
    next.returns(next.toFloat(emit(new Scope(next, ""), prefix, ids, last)));
    return graph;
  }

  private Value emit(Scope at, Value prefix, Value ids, Value last) {
    Method m = at.method();
    int hidden = config.hiddenSize();
    Scope gpt = at.child("transformer.transformer");
    // The scores' layer is the embedding once more.
    Value words = gpt.parameter("wte.weight", config.vocabulary(), hidden);
    Value before = m.castAs(prefix, words);
    if (config.smallSize() > 0) {
      before = at.linear("decode_prefix", before, config.smallSize(), hidden);
    }
    Value x = m.concatenate(1, before, m.embedding(ids, words));
    Value places = gpt.parameter("wpe.weight", config.positions(), hidden);
    x = m.add(x, m.firstAs(m.unsqueeze(places, 0), 1, x, 1));
    for (int i = 0; i < config.layers(); i++) {
      x = layer(gpt.child("h", i), x);
    }
    x = gpt.layerNorm("ln_f", m.selectRow(x, last), hidden, config.epsilon());
    return m.linear(x, words, null);
  }

  private Value layer(Scope at, Value x) {
    Method m = at.method();
    int hidden = config.hiddenSize();
    Scope attention = at.child("attn");
    Value all =
        columns(
            attention,
            "c_attn",
            at.layerNorm("ln_1", x, hidden, config.epsilon()),
            hidden,
            3 * hidden);
    Value attended =
        attention.heads(
            m.narrow(all, 2, 0, hidden),
            m.narrow(all, 2, hidden, hidden),
            m.narrow(all, 2, 2L * hidden, hidden),
            config.heads(),
            hidden / config.heads(),
            true);
    Value y = m.add(columns(attention, "c_proj", attended, hidden, hidden), x);
    Scope mlp = at.child("mlp");
    Value h =
        columns(
            mlp,
            "c_fc",
            at.layerNorm("ln_2", y, hidden, config.epsilon()),
            hidden,
            config.innerSize());
    h =
        switch (config.activation()) {
          case GELU -> m.gelu(h);
          case GELU_TANH -> m.geluTanh(h);
          case RELU -> m.relu(h);
          case SILU -> m.silu(h);
        };
    return m.add(columns(mlp, "c_proj", h, config.innerSize(), hidden), y);
  }

  /** A linear layer whose weight is stored as [in,out] (transformers' Conv1D). */
  private static Value columns(Scope at, String name, Value x, int in, int out) {
    Method m = at.method();
    Scope layer = at.child(name);
    return m.add(
        m.matrixProduct(x, layer.parameter("weight", in, out)), layer.parameter("bias", out));
  }
}
