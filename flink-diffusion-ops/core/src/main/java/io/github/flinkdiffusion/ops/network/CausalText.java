/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * Language models that look back only (Qwen 2.5, Qwen 3, Gemma 2, Llama), as encoders of prompts:
 * states of the tokens after some or all layers; and as the part of a larger network that reads a
 * text and writes it on ({@link Idefics3}).
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
    Value x = embedded(at, ids);
    Turn turn = turn(at, forward.indices(ids, 1), 0);
    for (int i = 0; i < layers; i++) {
      x = layer(at.child("layers", i), x, turn, null);
    }
    forward.returns(forward.toFloat(normed ? norm(at, "norm", x, config.hiddenSize()) : x));
    return graph;
  }

  /** Tokens [N,T] to what the first layer takes, [N,T,hidden]. */
  Value embedded(Scope at, Value ids) {
    Method m = at.method();
    Value x = m.embedding(ids, embeddings(at));
    return config.scalesEmbeddings() ? m.multiply(x, Math.sqrt(config.hiddenSize())) : x;
  }

  /** The embedding's weights, which some models score tokens with, too. */
  Value embeddings(Scope at) {
    return at.parameter("embed_tokens.weight", config.vocabulary(), config.hiddenSize());
  }

  /** Numbers that the layers keep of a token: its key and its value in each. */
  int keptSize() {
    return 2 * config.layers() * config.keyHeads() * config.headSize();
  }

  /**
   * All layers and the final norm, for texts that go on.
   *
   * @param x [N,T,hidden]
   * @param positions of the tokens, float32 [T], or of each text's one token, [N]
   * @param kept takes the keys and values of these tokens, [N,T,keys * d] each, and may have those
   *     of earlier ones
   */
  Value read(Scope at, Value x, Value positions, Kept kept) {
    Turn turn = turn(at, positions, kept.past == null ? 0 : 1);
    for (int i = 0; i < config.layers(); i++) {
      x = layer(at.child("layers", i), x, turn, kept);
    }
    return norm(at, "norm", x, config.hiddenSize());
  }

  /** What layers keep of tokens, in the order in which they take it. */
  static final class Kept {
    private final List<Value> own = new ArrayList<>();
    private final Value past;
    private final Value bias;

    /**
     * @param past of earlier tokens, [N,P,{@link #keptSize}], whose next token alone is read; null
     *     if texts are read whole
     * @param bias of the token itself and the earlier ones, [N,1,1,1+P]
     */
    Kept(Value past, Value bias) {
      this.past = past;
      this.bias = bias;
    }

    /** Of the tokens that were read, [N,T,{@link #keptSize}]. */
    Value own(Method m) {
      return m.concatenate(2, own.toArray(Value[]::new));
    }

    /** Keys or values [N,T,heads,d] of the next place, those of earlier tokens behind them. */
    private Value with(Method m, Value x, int size) {
      Value flat = m.flatten(x, 2, 3);
      int at = own.size() * size;
      own.add(flat);
      return past == null ? flat : m.concatenate(1, flat, m.narrow(past, 2, at, size));
    }
  }

  /** Cosines and sines of positions. */
  private record Turn(Value cos, Value sin) {}

  /**
   * @param dimension the one that the positions do not have: 0 for those of tokens, 1 of texts
   */
  private Turn turn(Scope at, Value positions, int dimension) {
    Method m = at.method();
    Value angles =
        m.unsqueeze(
            Rotary.angles(at, "rope", positions, config.theta(), config.headSize()), dimension);
    return new Turn(m.cos(angles), m.sin(angles));
  }

  private Value layer(Scope at, Value x, Turn turn, Kept kept) {
    Method m = at.method();
    int hidden = config.hiddenSize();
    Value attended =
        attention(at.child("self_attn"), norm(at, "input_layernorm", x, hidden), turn, kept);
    if (!config.normsAround()) {
      Value y = m.add(x, attended);
      return m.add(
          y, feedForward(at.child("mlp"), norm(at, "post_attention_layernorm", y, hidden)));
    }
    Value y = m.add(x, norm(at, "post_attention_layernorm", attended, hidden));
    Value fed = feedForward(at.child("mlp"), norm(at, "pre_feedforward_layernorm", y, hidden));
    return m.add(y, norm(at, "post_feedforward_layernorm", fed, hidden));
  }

  private Value attention(Scope at, Value x, Turn turn, Kept kept) {
    Method m = at.method();
    int size = config.headSize();
    Value q = projected(at, "q_proj", x, config.heads());
    Value k = projected(at, "k_proj", x, config.keyHeads());
    Value v = projected(at, "v_proj", x, config.keyHeads());
    if (config.normsHeads()) {
      q = norm(at, "q_norm", q, size);
      k = norm(at, "k_norm", k, size);
    }
    q = m.rotate(m.transpose(q, 1, 2), turn.cos(), turn.sin(), size / 2, false);
    k = m.rotate(m.transpose(k, 1, 2), turn.cos(), turn.sin(), size / 2, false);
    if (kept != null) {
      int all = config.keyHeads() * size;
      Value keys = kept.with(m, m.transpose(k, 1, 2), all);
      Value values = kept.with(m, v, all);
      if (kept.past != null) {
        return out(at, ofOne(m, q, keys, values, kept.bias));
      }
    }
    k = shared(m, k);
    v = shared(m, m.transpose(v, 1, 2));
    // The operation scales by the root of a head's size.
    double scale = Math.sqrt(size / config.queryScale());
    if (scale != 1) {
      q = m.multiply(q, scale);
    }
    return out(at, config.softCap() > 0 ? capped(m, q, k, v) : m.attention(q, k, v, true));
  }

  private Value out(Scope at, Value attended) {
    return at.linearWithoutBias(
        "o_proj",
        Rotary.joined(at.method(), attended),
        config.heads() * config.headSize(),
        config.hiddenSize());
  }

  /**
   * What one token of each text sees. The heads that share keys ask together, so keys are not
   * copied.
   *
   * @param q [N,heads,1,d]
   * @param keys [N,S,keys * d]
   */
  private Value ofOne(Method m, Value q, Value keys, Value values, Value bias) {
    int shared = config.keyHeads();
    int size = config.headSize();
    Value asked = m.unflatten(m.squeeze(q, 2), 1, shared, config.heads() / shared);
    Value found =
        m.attention(
            asked,
            Rotary.heads(m, keys, shared, size),
            Rotary.heads(m, values, shared, size),
            bias);
    return m.unsqueeze(m.flatten(found, 1, 2), 2);
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
