/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.ArrayList;
import java.util.List;

/**
 * transformers' CLIPEncoderLayer, the transformer block of CLIP's text and vision networks.
 *
 * @param hidden size of a token
 * @param intermediate size between the feed-forward's layers
 * @param heads attention heads, a divisor of hidden
 * @param activation {@code hidden_act}
 * @param epsilon {@code layer_norm_eps}
 * @param causal tokens see only those before them
 */
record ClipEncoder(
    int hidden,
    int intermediate,
    int heads,
    Activation activation,
    double epsilon,
    boolean causal) {

  /** The first {@code layers} blocks, one after the other: [N,T,hidden] to the same. */
  Value emit(Scope encoder, Value x, int layers) {
    return states(encoder, x, layers).get(layers);
  }

  /** What goes into the first block, and what comes out of each: {@code layers + 1} values. */
  List<Value> states(Scope encoder, Value x, int layers) {
    List<Value> states = new ArrayList<>();
    states.add(x);
    for (int i = 0; i < layers; i++) {
      states.add(layer(encoder.child("layers", i), states.get(i)));
    }
    return states;
  }

  private Value layer(Scope at, Value x) {
    Method m = at.method();
    Value h = at.layerNorm("layer_norm1", x, hidden, epsilon);
    Scope attention = at.child("self_attn");
    Value q = attention.linear("q_proj", h, hidden, hidden);
    Value k = attention.linear("k_proj", h, hidden, hidden);
    Value v = attention.linear("v_proj", h, hidden, hidden);
    Value attended = attention.heads(q, k, v, heads, hidden / heads, causal);
    Value y = m.add(x, attention.linear("out_proj", attended, hidden, hidden));
    Scope mlp = at.child("mlp");
    h = mlp.linear("fc1", at.layerNorm("layer_norm2", y, hidden, epsilon), hidden, intermediate);
    return m.add(y, mlp.linear("fc2", activation.apply(m, h), intermediate, hidden));
  }
}
