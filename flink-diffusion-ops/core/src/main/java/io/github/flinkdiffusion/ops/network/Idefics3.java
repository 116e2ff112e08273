/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import org.apache.flink.annotation.Internal;

/**
 * Idefics 3 (Laurençon et al. 2024), as transformers has it in Idefics3ForConditionalGeneration:
 * the network of SmolVLM. A vision transformer reads an image, several of its patches become one
 * token of a text, and a Llama reads the text and writes it on.
 *
 * <p>Texts of one call have lengths of their own: shorter ones are filled up at their ends.
 */
@Internal
public final class Idefics3 {
  /**
   * {@code pixels} float32 [N,3,image_size,image_size], normalised, to what stands for the image in
   * a text, [N,{@link Idefics3Config#imageTokens},hidden].
   */
  public static final String VISION = "vision";

  /**
   * Reads texts: {@code ids} int64 [N,T], {@code seen} float32 [N,T,hidden], {@link #VISION}'s
   * result at the places of images and 0 elsewhere, {@code words} float32 [N,T], 0 at the places of
   * images and 1 elsewhere, and {@code last} int64 [N], the place of each row's last token, to the
   * scores of each row's next token, followed by what the layers keep of each token: [N,vocab_size
   * + T * {@link #keptSize}].
   */
  public static final String READ = "read";

  /**
   * Reads one token of texts whose earlier ones have been read: {@code ids} int64 [N,1], {@code
   * kept} float32 [N,P,{@link #keptSize}] of the earlier tokens and {@code keptLengths} float32
   * [N], how many of them a row has, to [N,vocab_size + {@link #keptSize}].
   */
  public static final String NEXT = "next";

  private final Idefics3Config config;
  private final CausalText text;

  public Idefics3(Idefics3Config config) {
    this.config = config;
    this.text = new CausalText(config.text());
  }

  /** Numbers that the layers keep of a token. */
  public int keptSize() {
    return text.keptSize();
  }

  /** A graph with {@link #VISION}, {@link #READ} and {@link #NEXT}. */
  public Graph graph() {
    Graph graph = new Graph();
    addVision(graph);
    Method m = graph.method(READ);
    Value ids = m.integers("ids", 2);
    Value seen = m.input("seen", 3);
    Value words = m.input("words", 2);
    Value last = m.integers("last", 1);
    Scope at = new Scope(m, "");
    Scope llama = at.child("model.text_model");
    Value x = text.embedded(llama, ids);
    x = m.add(m.multiply(x, m.castAs(m.unsqueeze(words, 2), x)), m.castAs(seen, x));
    CausalText.Kept kept = new CausalText.Kept(null, null);
    x = text.read(llama, x, m.indices(ids, 1), kept);
    returns(at, m.selectRow(x, last), kept);

    m = graph.method(NEXT);
    ids = m.integers("ids", 2);
    Value past = m.input("kept", 3);
    Value lengths = m.input("keptLengths", 1);
    at = new Scope(m, "");
    llama = at.child("model.text_model");
    x = text.embedded(llama, ids);
    past = m.castAs(past, x);
    // A token sees itself, which comes first here, and those that its row keeps.
    Value one = m.multiply(m.narrow(past, 1, 0, 1), 0);
    Value places = m.indices(m.concatenate(1, one, past), 1);
    Value bias = Rotary.bias(m, Rotary.first(m, m.add(lengths, 1), places), x);
    kept = new CausalText.Kept(past, bias);
    x = text.read(llama, x, lengths, kept);
    returns(at, m.squeeze(x, 1), kept);
    return graph;
  }

  private void returns(Scope at, Value x, CausalText.Kept kept) {
    Method m = at.method();
    int hidden = config.text().hiddenSize();
    Value head =
        config.tied()
            ? text.embeddings(at.child("model.text_model"))
            : at.parameter("lm_head.weight", config.text().vocabulary(), hidden);
    Value scores = m.linear(x, head, null);
    Value all = m.flatten(kept.own(m), 1, 2);
    m.returns(m.concatenate(1, m.toFloat(scores), m.toFloat(all)));
  }

  private void addVision(Graph graph) {
    Method m = graph.method(VISION);
    Value pixels = m.input("pixels", 4);
    Scope at = new Scope(m, "model.").child("vision_model");
    Scope embeddings = at.child("embeddings");
    Idefics3Config.Vision vision = config.vision();
    int hidden = vision.hiddenSize();
    int patches = vision.side() * vision.side();
    Value positions = embeddings.parameter("position_embedding.weight", patches, hidden);
    Value x =
        at.tokens(
            embeddings.conv2d(
                "patch_embedding",
                m.castAs(pixels, positions),
                3,
                hidden,
                vision.patchSize(),
                vision.patchSize(),
                0));
    x = m.add(x, positions);
    x =
        new ClipEncoder(
                hidden,
                vision.intermediateSize(),
                vision.heads(),
                Activation.GELU_TANH,
                vision.epsilon(),
                false)
            .emit(at.child("encoder"), x, vision.layers());
    x = at.layerNorm("post_layernorm", x, hidden, vision.epsilon());
    // A square of patches becomes one token: row by row of the square, one patch after the other.
    int scale = config.scaleFactor();
    int side = vision.side() / scale;
    x = m.unflatten(x, 1, side, scale, side, scale);
    x = m.flatten(m.flatten(m.permute(x, 0, 1, 3, 2, 4, 5), 3, 5), 1, 2);
    x =
        new Scope(m, "model.connector.modality_projection.")
            .linearWithoutBias("proj", x, scale * scale * hidden, config.text().hiddenSize());
    m.returns(m.toFloat(x));
  }
}
