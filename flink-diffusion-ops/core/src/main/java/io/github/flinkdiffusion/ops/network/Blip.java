/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.GraphException;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import org.apache.flink.annotation.Internal;

/**
 * BLIP (Li et al. 2022), as transformers has it in BlipForConditionalGeneration and
 * BlipForQuestionAnswering: a vision transformer, and a BERT whose layers also attend to the image.
 * With a question, a second BERT reads the question and the image, and the first one attends to
 * what that has read.
 *
 * <p>Texts of one call have lengths of their own: shorter ones are filled up at their ends, and
 * what is behind a row's length is not seen.
 */
@Internal
public final class Blip {
  /**
   * {@code pixels} float32 [N,3,image_size,image_size], normalised, to the image's states [N,S,D].
   */
  public static final String VISION = "vision";

  /**
   * {@code ids}, {@code positions} int64 [N,T], {@code lengths} float32 [N] and the image's states
   * [N,S,D], to the question's states [N,T,hidden].
   */
  public static final String QUESTION = "question";

  /**
   * {@code ids}, {@code positions} int64 [N,T], {@code last} int64 [N], the place of each row's
   * last token, {@code states} float32 [N,S,D] and {@code lengths} float32 [N], how many of them a
   * row has, to the scores of each row's next token, [N,vocab_size].
   */
  public static final String NEXT = "next";

  private final BlipConfig.Vision vision;
  private final BlipConfig.Text text;

  public Blip(BlipConfig config) {
    this.vision = config.vision();
    this.text = config.text();
  }

  /** The graph of BlipForConditionalGeneration: {@link #VISION} and {@link #NEXT}. */
  public Graph captioning() {
    Graph graph = new Graph();
    addVision(graph);
    addNext(graph, vision.hiddenSize());
    return graph;
  }

  /**
   * The graph of BlipForQuestionAnswering: {@link #VISION}, {@link #QUESTION}, and {@link #NEXT},
   * whose states are the question's.
   *
   * @throws GraphException when an image's states are not as large as a question's, which the same
   *     layers look at
   */
  public Graph answering() {
    if (vision.hiddenSize() != text.hiddenSize()) {
      throw new GraphException(
          "An answering BLIP has hidden_size %d for images and %d for texts; expected the same."
              .formatted(vision.hiddenSize(), text.hiddenSize()));
    }
    Graph graph = new Graph();
    addVision(graph);
    Method m = graph.method(QUESTION);
    Value ids = m.integers("ids", 2);
    Value positions = m.integers("positions", 2);
    Value lengths = m.input("lengths", 1);
    Value states = m.input("states", 3);
    Scope encoder = new Scope(m, "text_encoder.");
    Value x = embedded(encoder, ids, positions);
    Value seen = Rotary.bias(m, Rotary.first(m, lengths, m.indices(ids, 1)), x);
    Value image = m.castAs(states, x);
    for (int i = 0; i < text.layers(); i++) {
      x = layer(encoder.child("encoder.layer", i), x, seen, image, null, vision.hiddenSize());
    }
    m.returns(m.toFloat(x));
    addNext(graph, text.hiddenSize());
    return graph;
  }

  // ------------------------------------------------------------------ the image

  private void addVision(Graph graph) {
    Method m = graph.method(VISION);
    Value pixels = m.input("pixels", 4);
    Scope at = new Scope(m, "vision_model.");
    Scope embeddings = at.child("embeddings");
    int hidden = vision.hiddenSize();
    Value classToken = embeddings.parameter("class_embedding", 1, 1, hidden);
    Value patches =
        at.tokens(
            embeddings.conv2d(
                "patch_embedding",
                m.castAs(pixels, classToken),
                3,
                hidden,
                vision.patchSize(),
                vision.patchSize(),
                0));
    Value first = m.expandAs(classToken, m.narrow(patches, 1, 0, 1));
    Value x =
        m.add(
            m.concatenate(1, first, patches),
            embeddings.parameter("position_embedding", 1, vision.tokens(), hidden));
    for (int i = 0; i < vision.layers(); i++) {
      x = visionLayer(at.child("encoder.layers", i), x);
    }
    m.returns(m.toFloat(at.layerNorm("post_layernorm", x, hidden, vision.epsilon())));
  }

  private Value visionLayer(Scope at, Value x) {
    Method m = at.method();
    int hidden = vision.hiddenSize();
    Scope attention = at.child("self_attn");
    Value h = at.layerNorm("layer_norm1", x, hidden, vision.epsilon());
    Value all = attention.linear("qkv", h, hidden, 3 * hidden);
    Value attended =
        attention.heads(
            m.narrow(all, 2, 0, hidden),
            m.narrow(all, 2, hidden, hidden),
            m.narrow(all, 2, 2L * hidden, hidden),
            vision.heads(),
            hidden / vision.heads(),
            false);
    Value y = m.add(x, attention.linear("projection", attended, hidden, hidden));
    Scope mlp = at.child("mlp");
    h = at.layerNorm("layer_norm2", y, hidden, vision.epsilon());
    h = vision.activation().apply(m, mlp.linear("fc1", h, hidden, vision.intermediateSize()));
    return m.add(y, mlp.linear("fc2", h, vision.intermediateSize(), hidden));
  }

  // ------------------------------------------------------------------ texts

  private void addNext(Graph graph, int stateSize) {
    Method m = graph.method(NEXT);
    Value ids = m.integers("ids", 2);
    Value positions = m.integers("positions", 2);
    Value last = m.integers("last", 1);
    Value states = m.input("states", 3);
    Value lengths = m.input("lengths", 1);
    Scope decoder = new Scope(m, "text_decoder.");
    Scope bert = decoder.child("bert");
    Value x = embedded(bert, ids, positions);
    Value seen = Rotary.bias(m, Rotary.first(m, lengths, m.indices(states, 1)), x);
    Value looked = m.castAs(states, x);
    for (int i = 0; i < text.layers(); i++) {
      // No token sees a later one, so what fills up a text's end changes nothing.
      x = layer(bert.child("encoder.layer", i), x, null, looked, seen, stateSize);
    }
    m.returns(m.toFloat(scores(decoder, m.selectRow(x, last))));
  }

  private Value embedded(Scope bert, Value ids, Value positions) {
    Method m = bert.method();
    Scope at = bert.child("embeddings");
    int hidden = text.hiddenSize();
    Value words = m.embedding(ids, words(bert));
    Value places =
        m.embedding(
            positions, at.parameter("position_embeddings.weight", text.maxPositions(), hidden));
    return at.layerNorm("LayerNorm", m.add(words, places), hidden, text.epsilon());
  }

  private Value words(Scope bert) {
    return bert.parameter(
        "embeddings.word_embeddings.weight", text.vocabulary(), text.hiddenSize());
  }

  /** BERT's head for a masked token; its last layer is the embedding. */
  private Value scores(Scope decoder, Value x) {
    Method m = decoder.method();
    int hidden = text.hiddenSize();
    Scope head = decoder.child("cls.predictions");
    Value h = head.linear("transform.dense", x, hidden, hidden);
    h =
        head.layerNorm(
            "transform.LayerNorm", text.activation().apply(m, h), hidden, text.epsilon());
    return m.linear(h, words(decoder.child("bert")), head.parameter("bias", text.vocabulary()));
  }

  /**
   * @param ownBias of tokens among each other; null where each sees itself and those before it
   * @param stateBias of the states that are looked at; null where all are
   * @param stateSize of those states
   */
  private Value layer(
      Scope at, Value x, Value ownBias, Value states, Value stateBias, int stateSize) {
    Method m = at.method();
    int hidden = text.hiddenSize();
    Scope own = at.child("attention");
    Value q = heads(own, "query", x, hidden);
    Value k = heads(own, "key", x, hidden);
    Value v = heads(own, "value", x, hidden);
    Value y =
        joined(
            own, x, ownBias == null ? m.attention(q, k, v, true) : m.attention(q, k, v, ownBias));
    Scope cross = at.child("crossattention");
    q = heads(cross, "query", y, hidden);
    k = heads(cross, "key", states, stateSize);
    v = heads(cross, "value", states, stateSize);
    y =
        joined(
            cross,
            y,
            stateBias == null ? m.attention(q, k, v, false) : m.attention(q, k, v, stateBias));
    Value h = at.linear("intermediate.dense", y, hidden, text.intermediateSize());
    h = at.linear("output.dense", text.activation().apply(m, h), text.intermediateSize(), hidden);
    return at.layerNorm("output.LayerNorm", m.add(h, y), hidden, text.epsilon());
  }

  private Value heads(Scope attention, String name, Value x, int size) {
    Value all = attention.linear("self." + name, x, size, text.hiddenSize());
    return Rotary.heads(attention.method(), all, text.heads(), text.hiddenSize() / text.heads());
  }

  private Value joined(Scope attention, Value x, Value heads) {
    Method m = attention.method();
    int hidden = text.hiddenSize();
    Value out = attention.linear("output.dense", Rotary.joined(m, heads), hidden, hidden);
    return attention.layerNorm("output.LayerNorm", m.add(out, x), hidden, text.epsilon());
  }
}
