/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * transformers' CLIPTextModel: token ids to the hidden states that condition the denoising network.
 * Parameters stand under {@code text_model.}, as all but the newest checkpoints have them.
 */
@Internal
public final class ClipText {
  /** The method that gives the last hidden states. */
  public static final String FORWARD = "forward";

  /** The method that gives the hidden states before the last layer, without the final norm. */
  public static final String PENULTIMATE = "penultimate";

  /**
   * The method that gives hidden states without the final norm, after as many layers as each prompt
   * asks for: Stable Diffusion XL's {@code clip_skip} of k is {@code layers - 1 - k} of them.
   */
  public static final String AT_LAYER = "at_layer";

  /**
   * As {@link #AT_LAYER}, with the final norm: Stable Diffusion's {@code clip_skip} of k is {@code
   * layers - k} of them.
   */
  public static final String AT_LAYER_NORMED = "at_layer_normed";

  /** The method that gives the last hidden state of each prompt's end. */
  public static final String POOLED = "pooled";

  private final ClipTextConfig config;
  private final ClipEncoder encoder;

  public ClipText(ClipTextConfig config) {
    this.config = config;
    this.encoder =
        new ClipEncoder(
            config.hiddenSize(),
            config.intermediateSize(),
            config.heads(),
            config.activation(),
            config.epsilon(),
            true);
  }

  /**
   * A graph whose methods take {@code ids} int64 [N,tokens] and return float32: {@link #FORWARD}
   * and {@link #PENULTIMATE} [N,tokens,hidden], {@link #POOLED} [N,hidden]. {@link #AT_LAYER} and
   * {@link #AT_LAYER_NORMED}, [N,tokens,hidden] too, take {@code layers} int64 [N] as well, from 0,
   * the embeddings, to the number of layers there are; their memory is that of all layers' states.
   *
   * @param tokens length of every sequence, at most {@code max_position_embeddings}
   */
  public Graph graph(int tokens) {
    Graph graph = new Graph();
    Method forward = graph.method(FORWARD);
    Value ids = forward.integers("ids", 2);
    forward.returns(forward.toFloat(emit(new Scope(forward, ""), ids, tokens)));
    addInnerStates(graph, tokens);
    Method pooled = graph.method(POOLED);
    ids = pooled.integers("ids", 2);
    pooled.returns(pooled.toFloat(pooled(new Scope(pooled, ""), ids, tokens)));
    return graph;
  }

  void addInnerStates(Graph graph, int tokens) {
    Method method = graph.method(PENULTIMATE);
    Value ids = method.integers("ids", 2);
    Value hidden = hidden(new Scope(method, ""), ids, tokens, config.layers() - 1);
    method.returns(method.toFloat(hidden));
    Method atLayer = graph.method(AT_LAYER);
    atLayer.returns(atLayer.toFloat(atLayer(atLayer, tokens)));
    Method normed = graph.method(AT_LAYER_NORMED);
    hidden = atLayer(normed, tokens);
    normed.returns(normed.toFloat(finalNorm(new Scope(normed, ""), hidden)));
  }

  /** One row's state may be another layer's than its neighbour's: rows of all are chosen from. */
  private Value atLayer(Method m, int tokens) {
    Value ids = m.integers("ids", 2);
    Value layers = m.integers("layers", 1);
    Value chosen = chosen(m, states(new Scope(m, ""), ids, tokens), layers);
    return m.unflatten(chosen, 1, tokens, config.hiddenSize());
  }

  /** The embeddings, then what each layer gives: [N,tokens,hidden], without the final norm. */
  List<Value> states(Scope at, Value ids, int tokens) {
    return encoder.states(
        at.child("text_model.encoder"), embedded(at, ids, tokens), config.layers());
  }

  /** Of each row the state that {@code layers} [N] says: [N,tokens*hidden]. */
  static Value chosen(Method m, List<Value> states, Value layers) {
    Value[] flat =
        states.stream().map(state -> m.unsqueeze(m.flatten(state, 1, 2), 1)).toArray(Value[]::new);
    return m.selectRow(m.concatenate(1, flat), layers);
  }

  /**
   * Adds the network to a method; shapes as in {@link #graph(int)}, result in the weights' dtype.
   */
  public Value emit(Scope at, Value ids, int tokens) {
    return finalNorm(at, hidden(at, ids, tokens, config.layers()));
  }

  private Value finalNorm(Scope at, Value hidden) {
    return at.child("text_model")
        .layerNorm("final_layer_norm", hidden, config.hiddenSize(), config.epsilon());
  }

  /** Adds the network and picks each prompt's end: [N,hidden], in the weights' dtype. */
  Value pooled(Scope at, Value ids, int tokens) {
    return end(at, ids, hidden(at, ids, tokens, config.layers()));
  }

  /** Picks each prompt's end from the last layer's states: [N,hidden], with the final norm. */
  Value end(Scope at, Value ids, Value hidden) {
    Method m = at.method();
    Value ends =
        config.isEosUnreliable()
            ? m.argmax(ids, 1)
            : m.argmax(m.equalsScalar(ids, config.eosTokenId()), 1);
    return m.selectRow(finalNorm(at, hidden), ends);
  }

  /** The hidden states [N,tokens,hidden] after some of the layers, before the final norm. */
  private Value hidden(Scope at, Value ids, int tokens, int layers) {
    return encoder.emit(at.child("text_model.encoder"), embedded(at, ids, tokens), layers);
  }

  private Value embedded(Scope at, Value ids, int tokens) {
    Method m = at.method();
    Scope text = at.child("text_model");
    int hidden = config.hiddenSize();
    Value positions =
        text.parameter("embeddings.position_embedding.weight", config.maxPositions(), hidden);
    Value embedded =
        m.embedding(
            ids, text.parameter("embeddings.token_embedding.weight", config.vocabSize(), hidden));
    return m.add(
        embedded, tokens == config.maxPositions() ? positions : m.narrow(positions, 0, 0, tokens));
  }
}
