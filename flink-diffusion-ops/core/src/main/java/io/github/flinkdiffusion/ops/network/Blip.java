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
   * Reads texts: {@code ids}, {@code positions} int64 [N,T], {@code last} int64 [N], the place of
   * each row's last token, {@code states} float32 [N,S,D] and {@code lengths} float32 [N], how many
   * of them a row has, to the scores of each row's next token, followed by what the layers keep of
   * each token: [N,vocab_size + T * {@link #keptSize}].
   */
  public static final String READ = "read";

  /**
   * Reads one token of texts whose earlier ones have been read: {@code ids}, {@code positions}
   * int64 [N,1], {@code kept} float32 [N,P,{@link #keptSize}] of the earlier tokens and {@code
   * keptLengths} float32 [N], how many of them a row has, {@code states} and {@code lengths} as
   * {@link #READ}, to [N,vocab_size + {@link #keptSize}].
   */
  public static final String NEXT = "next";

  private final BlipConfig.Vision vision;
  private final BlipConfig.Text text;

  public Blip(BlipConfig config) {
    this.vision = config.vision();
    this.text = config.text();
  }

  /** Numbers that the layers keep of a token: its key and its value in each. */
  public int keptSize() {
    return 2 * text.layers() * text.hiddenSize();
  }

  /** The graph of BlipForConditionalGeneration: {@link #VISION}, {@link #READ}, {@link #NEXT}. */
  public Graph captioning() {
    Graph graph = new Graph();
    addVision(graph);
    addDecoder(graph, vision.hiddenSize());
    return graph;
  }

  /**
   * The graph of BlipForQuestionAnswering: {@link #VISION}, {@link #QUESTION}, and {@link #READ}
   * and {@link #NEXT}, whose states are the question's.
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
      x = readingLayer(encoder.child("encoder.layer", i), x, seen, image);
    }
    m.returns(m.toFloat(x));
    addDecoder(graph, text.hiddenSize());
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

  private void addDecoder(Graph graph, int stateSize) {
    Method m = graph.method(READ);
    Value ids = m.integers("ids", 2);
    Value positions = m.integers("positions", 2);
    Value last = m.integers("last", 1);
    Seen seen = seen(m, stateSize);
    Scope decoder = new Scope(m, "text_decoder.");
    Scope bert = decoder.child("bert");
    Value x = embedded(bert, ids, positions);
    Value[] kept = new Value[2 * text.layers()];
    for (int i = 0; i < text.layers(); i++) {
      // No token sees a later one, so what fills up a text's end changes nothing.
      Scope at = bert.child("encoder.layer", i);
      Scope own = at.child("attention");
      kept[2 * i] = projected(own, "key", x, text.hiddenSize());
      kept[2 * i + 1] = projected(own, "value", x, text.hiddenSize());
      Value attended =
          m.attention(
              heads(own, "query", x), heads(m, kept[2 * i]), heads(m, kept[2 * i + 1]), true);
      x = fed(at, looked(at.child("crossattention"), joined(own, x, attended), ids, seen));
    }
    returns(m, scores(decoder, m.selectRow(x, last)), kept);

    m = graph.method(NEXT);
    ids = m.integers("ids", 2);
    positions = m.integers("positions", 2);
    Value past = m.input("kept", 3);
    Value pastLengths = m.input("keptLengths", 1);
    seen = seen(m, stateSize);
    decoder = new Scope(m, "text_decoder.");
    bert = decoder.child("bert");
    x = embedded(bert, ids, positions);
    past = m.castAs(past, x);
    // A token sees itself, which comes first here, and those that its row keeps.
    Value one = m.multiply(m.narrow(past, 1, 0, 1), 0);
    Value places = m.indices(m.concatenate(1, one, past), 1);
    Value bias = Rotary.bias(m, Rotary.first(m, m.add(pastLengths, 1), places), x);
    int hidden = text.hiddenSize();
    for (int i = 0; i < text.layers(); i++) {
      Scope at = bert.child("encoder.layer", i);
      Scope own = at.child("attention");
      kept[2 * i] = projected(own, "key", x, hidden);
      kept[2 * i + 1] = projected(own, "value", x, hidden);
      Value keys = m.concatenate(1, kept[2 * i], m.narrow(past, 2, 2L * i * hidden, hidden));
      Value values =
          m.concatenate(1, kept[2 * i + 1], m.narrow(past, 2, (2L * i + 1) * hidden, hidden));
      Value attended = m.attention(heads(own, "query", x), heads(m, keys), heads(m, values), bias);
      x = fed(at, looked(at.child("crossattention"), joined(own, x, attended), ids, seen));
    }
    returns(m, scores(decoder, m.squeeze(x, 1)), kept);
  }

  private static void returns(Method m, Value scores, Value[] kept) {
    Value all = m.flatten(m.concatenate(2, kept), 1, 2);
    m.returns(m.concatenate(1, m.toFloat(scores), m.toFloat(all)));
  }

  /**
   * The states that texts look at.
   *
   * @param states [N,S,D]
   * @param turned [N,D,S]
   * @param bias [N,1,S], which hides what is behind a row's own
   */
  private record Seen(Value states, Value turned, Value bias, int size) {}

  private static Seen seen(Method m, int size) {
    Value states = m.input("states", 3);
    Value lengths = m.input("lengths", 1);
    Value bias = m.unsqueeze(Rotary.bias(m, Rotary.first(m, lengths, m.indices(states, 1))), 1);
    return new Seen(states, m.transpose(states, 1, 2), bias, size);
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

  /** A layer that reads a question: its tokens see each other, and the whole image. */
  private Value readingLayer(Scope at, Value x, Value bias, Value states) {
    Method m = at.method();
    Scope own = at.child("attention");
    Value k = heads(m, projected(own, "key", x, text.hiddenSize()));
    Value v = heads(m, projected(own, "value", x, text.hiddenSize()));
    Value y = joined(own, x, m.attention(heads(own, "query", x), k, v, bias));
    Scope cross = at.child("crossattention");
    k = heads(m, projected(cross, "key", states, vision.hiddenSize()));
    v = heads(m, projected(cross, "value", states, vision.hiddenSize()));
    y = joined(cross, y, m.attention(heads(cross, "query", y), k, v, false));
    return fed(at, y);
  }

  /**
   * What tokens see of the states. There are hundreds of states and few tokens, so the queries are
   * brought to the states' space, and not the states to keys and values: q (W s) = (q W) s. A bias
   * of the keys adds the same to all scores of a token, so it changes nothing.
   *
   * @param ids [N,T], for their shape
   */
  private Value looked(Scope cross, Value y, Value ids, Seen seen) {
    Method m = cross.method();
    int heads = text.heads();
    int size = text.hiddenSize() / heads;
    Value q = m.multiply(projected(cross, "query", y, text.hiddenSize()), 1 / Math.sqrt(size));
    // [N,T,heads*d] to [heads,N*T,d]: a head's weights meet all rows at once.
    q = m.flatten(m.permute(m.unflatten(q, 2, heads, size), 2, 0, 1, 3), 1, 2);
    Value asked = m.matrixProduct(q, byHead(cross, "key", seen.size()));
    asked = m.flatten(m.permute(m.unflattenAs(asked, 1, ids, 0), 1, 0, 2, 3), 1, 2);
    Value states = m.castAs(seen.states(), y);
    Value scores = m.toFloat(m.matrixProduct(asked, m.castAs(seen.turned(), y)));
    Value weights = m.castAs(m.softmax(m.add(scores, seen.bias())), y);
    Value found = m.unflatten(m.matrixProduct(weights, states), 1, heads, -1);
    found = m.flatten(m.permute(found, 1, 0, 2, 3), 1, 2);
    Value v = m.matrixProduct(found, m.transpose(byHead(cross, "value", seen.size()), 1, 2));
    v = m.flatten(m.permute(m.unflattenAs(v, 1, ids, 0), 1, 2, 0, 3), 2, 3);
    v = m.add(v, cross.parameter("self.value.bias", text.hiddenSize()));
    return joinedTokens(cross, y, v);
  }

  /** A projection's weights [heads,d,size]. */
  private Value byHead(Scope cross, String name, int size) {
    return cross
        .method()
        .unflatten(
            cross.parameter("self." + name + ".weight", text.hiddenSize(), size),
            0,
            text.heads(),
            text.hiddenSize() / text.heads());
  }

  private Value fed(Scope at, Value y) {
    Method m = at.method();
    int hidden = text.hiddenSize();
    Value h = at.linear("intermediate.dense", y, hidden, text.intermediateSize());
    h = at.linear("output.dense", text.activation().apply(m, h), text.intermediateSize(), hidden);
    return at.layerNorm("output.LayerNorm", m.add(h, y), hidden, text.epsilon());
  }

  private Value projected(Scope attention, String name, Value x, int size) {
    return attention.linear("self." + name, x, size, text.hiddenSize());
  }

  private Value heads(Scope attention, String name, Value x) {
    return heads(attention.method(), projected(attention, name, x, text.hiddenSize()));
  }

  private Value heads(Method m, Value all) {
    return Rotary.heads(m, all, text.heads(), text.hiddenSize() / text.heads());
  }

  private Value joined(Scope attention, Value x, Value heads) {
    return joinedTokens(attention, x, Rotary.joined(attention.method(), heads));
  }

  private Value joinedTokens(Scope attention, Value x, Value attended) {
    int hidden = text.hiddenSize();
    Value out = attention.linear("output.dense", attended, hidden, hidden);
    return attention.layerNorm(
        "output.LayerNorm", attention.method().add(out, x), hidden, text.epsilon());
  }
}
