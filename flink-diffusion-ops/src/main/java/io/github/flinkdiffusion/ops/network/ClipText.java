package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.torchscript.Graph;
import io.github.flinkdiffusion.ops.torchscript.Method;
import io.github.flinkdiffusion.ops.torchscript.Value;

/**
 * transformers' CLIPTextModel: token ids to the hidden states that condition the denoising network.
 * Parameters stand under {@code text_model.}, as all but the newest checkpoints have them.
 */
public final class ClipText {
  /** The method that gives the last hidden states. */
  public static final String FORWARD = "forward";

  /** The method that gives the hidden states before the last layer, without the final norm. */
  public static final String PENULTIMATE = "penultimate";

  /** The method that gives the last hidden state of each prompt's end. */
  public static final String POOLED = "pooled";

  /**
   * What old configs hold whatever the vocabulary's end token is; transformers then takes the
   * highest id, which is the end token in a vocabulary without additions.
   */
  private static final int UNRELIABLE_EOS = 2;

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
   * and {@link #PENULTIMATE} [N,tokens,hidden], {@link #POOLED} [N,hidden].
   *
   * @param tokens length of every sequence, at most {@code max_position_embeddings}
   */
  public Graph graph(int tokens) {
    Graph graph = new Graph();
    Method forward = graph.method(FORWARD);
    Value ids = forward.input("ids");
    forward.returns(forward.toFloat(emit(new Scope(forward, ""), ids, tokens)));
    addPenultimate(graph, tokens);
    Method pooled = graph.method(POOLED);
    ids = pooled.input("ids");
    pooled.returns(pooled.toFloat(pooled(new Scope(pooled, ""), ids, tokens)));
    return graph;
  }

  void addPenultimate(Graph graph, int tokens) {
    Method method = graph.method(PENULTIMATE);
    Value ids = method.input("ids");
    Value hidden = hidden(new Scope(method, ""), ids, tokens, config.layers() - 1);
    method.returns(method.toFloat(hidden));
  }

  /**
   * Adds the network to a method; shapes as in {@link #graph(int)}, result in the weights' dtype.
   */
  public Value emit(Scope at, Value ids, int tokens) {
    return at.child("text_model")
        .layerNorm(
            "final_layer_norm",
            hidden(at, ids, tokens, config.layers()),
            config.hiddenSize(),
            config.epsilon());
  }

  /** Adds the network and picks each prompt's end: [N,hidden], in the weights' dtype. */
  Value pooled(Scope at, Value ids, int tokens) {
    Method m = at.method();
    Value ends =
        config.eosTokenId() == UNRELIABLE_EOS
            ? m.argmax(ids, 1)
            : m.argmax(m.equalsScalar(ids, config.eosTokenId()), 1);
    return m.selectRow(emit(at, ids, tokens), ends);
  }

  /** The hidden states [N,tokens,hidden] after some of the layers, before the final norm. */
  private Value hidden(Scope at, Value ids, int tokens, int layers) {
    Method m = at.method();
    Scope text = at.child("text_model");
    int hidden = config.hiddenSize();
    Value positions =
        text.parameter("embeddings.position_embedding.weight", config.maxPositions(), hidden);
    Value embedded =
        m.embedding(
            ids, text.parameter("embeddings.token_embedding.weight", config.vocabSize(), hidden));
    Value x =
        m.add(
            embedded,
            tokens == config.maxPositions() ? positions : m.narrow(positions, 0, 0, tokens));
    return encoder.emit(text.child("encoder"), x, layers);
  }
}
