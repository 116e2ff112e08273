package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.torchscript.Graph;
import io.github.flinkdiffusion.ops.torchscript.Method;
import io.github.flinkdiffusion.ops.torchscript.Value;

/**
 * transformers' CLIPTextModelWithProjection: a {@link ClipText} whose pooled state is projected
 * into the space that texts and pictures share.
 */
public final class ClipTextProjection {
  private final ClipTextConfig config;
  private final ClipText text;

  public ClipTextProjection(ClipTextConfig config) {
    this.config = config;
    this.text = new ClipText(config);
  }

  /**
   * A graph with the methods of {@link ClipText#graph(int)}, except that {@link ClipText#POOLED}
   * gives the projected state [N,projection_dim].
   *
   * @param tokens length of every sequence, at most {@code max_position_embeddings}
   */
  public Graph graph(int tokens) {
    Graph graph = new Graph();
    Method forward = graph.method(ClipText.FORWARD);
    Value ids = forward.input("ids");
    forward.returns(forward.toFloat(text.emit(new Scope(forward, ""), ids, tokens)));
    text.addInnerStates(graph, tokens);
    Method pooled = graph.method(ClipText.POOLED);
    ids = pooled.input("ids");
    pooled.returns(pooled.toFloat(emit(new Scope(pooled, ""), ids, tokens)));
    return graph;
  }

  /** Adds the network to a method: ids [N,tokens] to [N,projection_dim] in the weights' dtype. */
  public Value emit(Scope at, Value ids, int tokens) {
    return at.linearWithoutBias(
        "text_projection",
        text.pooled(at, ids, tokens),
        config.hiddenSize(),
        config.projectionSize());
  }
}
