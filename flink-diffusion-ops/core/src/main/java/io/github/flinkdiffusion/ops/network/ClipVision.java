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
 * transformers' CLIPVisionModelWithProjection: pictures to vectors in the space that texts and
 * pictures share. Parameters stand under {@code vision_model.}.
 */
@Internal
public final class ClipVision {
  /** The method that gives image embeddings. */
  public static final String FORWARD = "forward";

  /** The method that gives the last hidden states, before the norm that the class token passes. */
  public static final String HIDDEN = "hidden";

  private final ClipVisionConfig config;

  public ClipVision(ClipVisionConfig config) {
    this.config = config;
  }

  /**
   * A graph whose methods take normalised {@code pixels} [N,channels,image_size,image_size] and
   * return float32: {@link #FORWARD} [N,projection_dim], {@link #HIDDEN} [N,1+patches,hidden].
   */
  public Graph graph() {
    Graph graph = new Graph();
    Method forward = graph.method(FORWARD);
    Value pixels = forward.input("pixels", 4);
    forward.returns(forward.toFloat(emit(new Scope(forward, ""), pixels)));
    Method hidden = graph.method(HIDDEN);
    pixels = hidden.input("pixels", 4);
    hidden.returns(hidden.toFloat(hidden(new Scope(hidden, "").child("vision_model"), pixels)));
    return graph;
  }

  /** Adds the network to a method: pixels to [N,projection_dim] in the weights' dtype. */
  public Value emit(Scope at, Value pixels) {
    Method m = at.method();
    Scope vision = at.child("vision_model");
    int hidden = config.hiddenSize();
    Value classToken = m.squeeze(m.narrow(hidden(vision, pixels), 1, 0, 1), 1);
    return at.linearWithoutBias(
        "visual_projection",
        vision.layerNorm("post_layernorm", classToken, hidden, config.epsilon()),
        hidden,
        config.projectionSize());
  }

  /** Pixels to the hidden states [N,1+patches,hidden] before the last layer. */
  Value beforeLast(Scope at, Value pixels) {
    return hidden(at.child("vision_model"), pixels, config.layers() - 1);
  }

  private Value hidden(Scope vision, Value pixels) {
    return hidden(vision, pixels, config.layers());
  }

  private Value hidden(Scope vision, Value pixels, int layers) {
    Method m = vision.method();
    Scope embeddings = vision.child("embeddings");
    int hidden = config.hiddenSize();
    int patch = config.patchSize();
    Value classToken = embeddings.parameter("class_embedding", hidden);
    Value patches =
        vision.tokens(
            embeddings.conv2dWithoutBias(
                "patch_embedding",
                m.castAs(pixels, classToken),
                config.channels(),
                hidden,
                patch,
                patch,
                0));
    Value first = m.expandAs(classToken, m.narrow(patches, 1, 0, 1));
    Value x =
        m.add(
            m.concatenate(1, first, patches),
            embeddings.parameter("position_embedding.weight", config.tokens(), hidden));
    // The checkpoints' spelling.
    x = vision.layerNorm("pre_layrnorm", x, hidden, config.epsilon());
    return new ClipEncoder(
            hidden,
            config.intermediateSize(),
            config.heads(),
            config.activation(),
            config.epsilon(),
            false)
        .emit(vision.child("encoder"), x, layers);
  }
}
