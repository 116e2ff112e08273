/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.Arrays;
import org.apache.flink.annotation.Internal;

/**
 * Language models that look back only (Qwen 2.5, Qwen 3, Gemma 2), as encoders of prompts: states
 * of the tokens after some or all layers.
 *
 * <p>Texts of a call are padded at their ends. No token sees a later one, so the padding changes no
 * state of the text's own tokens and needs no mask.
 */
@Internal
public final class CausalText {
  private final CausalTextConfig config;

  public CausalText(CausalTextConfig config) {
    this.config = config;
  }

  /**
   * A graph with {@code forward(input_ids int64 [N,T])} giving the last layer's states after the
   * final norm, [N,T,hidden] in float32.
   */
  public Graph graph() {
    return graph(config.layers(), true);
  }

  /**
   * A graph with {@code forward(input_ids int64 [N,T])} giving states without the final norm; later
   * layers are not in it.
   *
   * @param layers whose states, counted from 1 (transformers' {@code hidden_states[layers]})
   */
  public Graph graphOfInner(int layers) {
    return graph(layers, false);
  }

  private Graph graph(int layers, boolean normed) {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value ids = forward.integers("input_ids", 2);
    Scope at = new Scope(forward, "");
    Value x =
        forward.embedding(
            ids, at.parameter("embed_tokens.weight", config.vocabulary(), config.hiddenSize()));
    if (config.scalesEmbeddings()) {
      x = forward.multiply(x, Math.sqrt(config.hiddenSize()));
    }
    Value angles =
        forward.unsqueeze(
            Rotary.angles(at, "rope", forward.indices(ids, 1), config.theta(), config.headSize()),
            0);
    Value cos = forward.cos(angles);
    Value sin = forward.sin(angles);
    for (int i = 0; i < layers; i++) {
      x = layer(at.child("layers", i), x, cos, sin);
    }
    forward.returns(forward.toFloat(normed ? norm(at, "norm", x, config.hiddenSize()) : x));
    return graph;
  }

  private Value layer(Scope at, Value x, Value cos, Value sin) {
    Method m = at.method();
    int hidden = config.hiddenSize();
    Value attended =
        attention(at.child("self_attn"), norm(at, "input_layernorm", x, hidden), cos, sin);
    if (!config.normsAround()) {
      Value y = m.add(x, attended);
      return m.add(
          y, feedForward(at.child("mlp"), norm(at, "post_attention_layernorm", y, hidden)));
    }
    Value y = m.add(x, norm(at, "post_attention_layernorm", attended, hidden));
    Value fed = feedForward(at.child("mlp"), norm(at, "pre_feedforward_layernorm", y, hidden));
    return m.add(y, norm(at, "post_feedforward_layernorm", fed, hidden));
  }

  private Value attention(Scope at, Value x, Value cos, Value sin) {
    Method m = at.method();
    int size = config.headSize();
    Value q = projected(at, "q_proj", x, config.heads());
    Value k = projected(at, "k_proj", x, config.keyHeads());
    Value v = projected(at, "v_proj", x, config.keyHeads());
    if (config.normsHeads()) {
      q = norm(at, "q_norm", q, size);
      k = norm(at, "k_norm", k, size);
    }
    q = m.rotate(m.transpose(q, 1, 2), cos, sin, size / 2, false);
    k = shared(m, m.rotate(m.transpose(k, 1, 2), cos, sin, size / 2, false));
    v = shared(m, m.transpose(v, 1, 2));
    // The operation scales by the root of a head's size.
    double scale = Math.sqrt(size / config.queryScale());
    if (scale != 1) {
      q = m.multiply(q, scale);
    }
    Value attended = config.softCap() > 0 ? capped(m, q, k, v) : m.attention(q, k, v, true);
    return at.linearWithoutBias(
        "o_proj", Rotary.joined(m, attended), config.heads() * size, config.hiddenSize());
  }

  /** [N,T,heads,d] */
  private Value projected(Scope at, String name, Value x, int heads) {
    int out = heads * config.headSize();
    Value projected =
        config.projectionBias()
            ? at.linear(name, x, config.hiddenSize(), out)
            : at.linearWithoutBias(name, x, config.hiddenSize(), out);
    return at.method().unflatten(projected, 2, heads, config.headSize());
  }

  /** Keys or values of each group of heads, once for each head of it. */
  private Value shared(Method m, Value x) {
    int times = config.heads() / config.keyHeads();
    if (times == 1) {
      return x;
    }
    Value[] same = new Value[times];
    Arrays.fill(same, m.unsqueeze(x, 2));
    return m.flatten(m.concatenate(2, same), 1, 2);
  }

  /** Scores that a hyperbolic tangent bounds (Gemma 2), so written out. */
  private Value capped(Method m, Value q, Value k, Value v) {
    Value scores =
        m.matrixProduct(m.multiply(q, 1 / Math.sqrt(config.headSize())), m.transpose(k, 2, 3));
    scores = m.multiply(m.tanh(m.multiply(scores, 1 / config.softCap())), config.softCap());
    Value places = m.indices(q, 2);
    Value seen =
        m.clamp(m.add(m.subtract(m.unsqueeze(places, 1), m.unsqueeze(places, 0)), 1), 0, 1);
    Value bias = m.unsqueeze(m.unsqueeze(Rotary.bias(m, seen), 0), 0);
    scores = m.add(scores, m.castAs(bias, scores));
    return m.matrixProduct(m.castAs(m.softmax(m.toFloat(scores)), v), v);
  }

  private Value feedForward(Scope at, Value x) {
    Method m = at.method();
    int hidden = config.hiddenSize();
    int inner = config.innerSize();
    Value gate = at.linearWithoutBias("gate_proj", x, hidden, inner);
    gate = config.gatesByGelu() ? m.geluTanh(gate) : m.silu(gate);
    Value up = at.linearWithoutBias("up_proj", x, hidden, inner);
    return at.linearWithoutBias("down_proj", m.multiply(gate, up), inner, hidden);
  }

  private Value norm(Scope at, String name, Value x, int size) {
    Method m = at.method();
    Value weight = at.child(name).parameter("weight", size);
    return config.addsOneToNorms()
        ? m.multiply(m.rmsNorm(x, size, null, config.epsilon()), m.add(weight, 1))
        : m.rmsNorm(x, size, weight, config.epsilon());
  }
}
