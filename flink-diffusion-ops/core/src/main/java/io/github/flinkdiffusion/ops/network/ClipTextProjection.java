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
 * transformers' CLIPTextModelWithProjection: a {@link ClipText} whose pooled state is projected
 * into the space that texts and pictures share.
 */
@Internal
public final class ClipTextProjection {
  /**
   * The method that gives what Stable Diffusion XL takes of a prompt: the state of {@link
   * ClipText#AT_LAYER} and the projected state of its end, one behind the other, of one run.
   */
  public static final String STATES_AND_POOLED = "states_and_pooled";

  private final ClipTextConfig config;
  private final ClipText text;

  public ClipTextProjection(ClipTextConfig config) {
    this.config = config;
    this.text = new ClipText(config);
  }

  /**
   * A graph with the methods of {@link ClipText#graph(int)}, except that {@link ClipText#POOLED}
   * gives the projected state [N,projection_dim]; and with {@link #STATES_AND_POOLED}, which takes
   * ids and layers as {@link ClipText#AT_LAYER} and gives [N,tokens*hidden+projection_dim].
   *
   * @param tokens length of every sequence, at most {@code max_position_embeddings}
   */
  public Graph graph(int tokens) {
    Graph graph = new Graph();
    Method forward = graph.method(ClipText.FORWARD);
    Value ids = forward.integers("ids", 2);
    forward.returns(forward.toFloat(text.emit(new Scope(forward, ""), ids, tokens)));
    text.addInnerStates(graph, tokens);
    Method pooled = graph.method(ClipText.POOLED);
    ids = pooled.integers("ids", 2);
    pooled.returns(pooled.toFloat(emit(new Scope(pooled, ""), ids, tokens)));
    Method both = graph.method(STATES_AND_POOLED);
    both.returns(both.toFloat(statesAndPooled(both, tokens)));
    return graph;
  }

  private Value statesAndPooled(Method m, int tokens) {
    Value ids = m.integers("ids", 2);
    Value layers = m.integers("layers", 1);
    Scope at = new Scope(m, "");
    List<Value> states = text.states(at, ids, tokens);
    Value end = text.end(at, ids, states.get(config.layers()));
    return m.concatenate(1, ClipText.chosen(m, states, layers), projected(at, end));
  }

  /** Adds the network to a method: ids [N,tokens] to [N,projection_dim] in the weights' dtype. */
  public Value emit(Scope at, Value ids, int tokens) {
    return projected(at, text.pooled(at, ids, tokens));
  }

  private Value projected(Scope at, Value end) {
    return at.linearWithoutBias(
        "text_projection", end, config.hiddenSize(), config.projectionSize());
  }
}
