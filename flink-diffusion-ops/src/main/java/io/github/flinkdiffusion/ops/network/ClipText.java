package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.torchscript.Graph;
import io.github.flinkdiffusion.ops.torchscript.Method;
import io.github.flinkdiffusion.ops.torchscript.Value;

/**
 * transformers' CLIPTextModel: token ids to the hidden states that condition the denoising network.
 */
public final class ClipText {
  private final ClipTextConfig config;

  public ClipText(ClipTextConfig config) {
    this.config = config;
  }

  /**
   * A graph with {@code forward(ids int64 [N,tokens])} giving the last hidden states
   * [N,tokens,hidden] in float32, after the final layer norm.
   *
   * @param tokens length of every sequence, at most {@code max_position_embeddings}
   */
  public Graph graph(int tokens) {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value ids = forward.input("ids");
    forward.returns(forward.toFloat(emit(new Scope(forward, ""), ids, tokens)));
    return graph;
  }

  /**
   * Adds the network to a method; shapes as in {@link #graph(int)}, result in the weights' dtype.
   */
  public Value emit(Scope at, Value ids, int tokens) {
    Method m = at.method();
    Scope text = at.child("text_model");
    int hidden = config.hiddenSize();
    Value positions =
        text.parameter("embeddings.position_embedding.weight", config.maxPositions(), hidden);
    Value x =
        m.add(
            m.embedding(
                ids,
                text.parameter("embeddings.token_embedding.weight", config.vocabSize(), hidden)),
            tokens == config.maxPositions() ? positions : m.narrow(positions, 0, 0, tokens));
    for (int i = 0; i < config.layers(); i++) {
      x = layer(text.child("encoder").child("layers", i), x);
    }
    return text.layerNorm("final_layer_norm", x, hidden, config.epsilon());
  }

  private Value layer(Scope at, Value x) {
    Method m = at.method();
    int hidden = config.hiddenSize();
    Value h = at.layerNorm("layer_norm1", x, hidden, config.epsilon());
    Scope attention = at.child("self_attn");
    Value q = attention.linear("q_proj", h, hidden, hidden);
    Value k = attention.linear("k_proj", h, hidden, hidden);
    Value v = attention.linear("v_proj", h, hidden, hidden);
    Value attended = attention.heads(q, k, v, config.heads(), hidden / config.heads(), true);
    x = m.add(x, attention.linear("out_proj", attended, hidden, hidden));
    Scope mlp = at.child("mlp");
    h =
        mlp.linear(
            "fc1",
            at.layerNorm("layer_norm2", x, hidden, config.epsilon()),
            hidden,
            config.intermediateSize());
    return m.add(
        x, mlp.linear("fc2", config.activation().apply(m, h), config.intermediateSize(), hidden));
  }
}
