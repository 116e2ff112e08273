/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import org.apache.flink.annotation.Internal;

/** transformers' ViTForImageClassification: images to a number for each class, before softmax. */
@Internal
public final class VitClassifier {
  /** The only method. */
  public static final String FORWARD = "forward";

  private final VitConfig config;

  public VitClassifier(VitConfig config) {
    this.config = config;
  }

  /**
   * A graph whose method takes normalised {@code pixels} [N,3,image_size,image_size] and returns
   * float32 [N,labels].
   */
  public Graph graph() {
    Graph graph = new Graph();
    Method forward = graph.method(FORWARD);
    Value pixels = forward.input("pixels", 4);
    forward.returns(forward.toFloat(emit(new Scope(forward, ""), pixels)));
    return graph;
  }

  private Value emit(Scope at, Value pixels) {
    Method m = at.method();
    Scope vit = at.child("vit");
    int hidden = config.hiddenSize();
    Value x = embedded(vit.child("embeddings"), pixels);
    for (int i = 0; i < config.layers(); i++) {
      x = layer(vit.child("encoder").child("layer", i), x);
    }
    Value normed = vit.layerNorm("layernorm", x, hidden, config.epsilon());
    Value classToken = m.squeeze(m.narrow(normed, 1, 0, 1), 1);
    return at.linear("classifier", classToken, hidden, config.labels().size());
  }

  private Value embedded(Scope embeddings, Value pixels) {
    Method m = embeddings.method();
    int hidden = config.hiddenSize();
    int patch = config.patchSize();
    Value classToken = embeddings.parameter("cls_token", 1, 1, hidden);
    Value patches =
        embeddings.tokens(
            embeddings
                .child("patch_embeddings")
                .conv2d("projection", m.castAs(pixels, classToken), 3, hidden, patch, patch, 0));
    Value first = m.expandAs(classToken, m.narrow(patches, 1, 0, 1));
    return m.add(
        m.concatenate(1, first, patches),
        embeddings.parameter("position_embeddings", 1, config.tokens(), hidden));
  }

  private Value layer(Scope at, Value x) {
    Method m = at.method();
    int hidden = config.hiddenSize();
    Scope attention = at.child("attention").child("attention");
    Value h = at.layerNorm("layernorm_before", x, hidden, config.epsilon());
    Value attended =
        attention.heads(
            project(attention, "query", h),
            project(attention, "key", h),
            project(attention, "value", h),
            config.heads(),
            hidden / config.heads(),
            false);
    Scope output = at.child("attention").child("output");
    Value y = m.add(x, output.linear("dense", attended, hidden, hidden));
    h =
        at.child("intermediate")
            .linear(
                "dense",
                at.layerNorm("layernorm_after", y, hidden, config.epsilon()),
                hidden,
                config.intermediateSize());
    return m.add(
        y,
        at.child("output")
            .linear("dense", config.activation().apply(m, h), config.intermediateSize(), hidden));
  }

  private Value project(Scope attention, String name, Value x) {
    int hidden = config.hiddenSize();
    return config.queriesBiased()
        ? attention.linear(name, x, hidden, hidden)
        : attention.linearWithoutBias(name, x, hidden, hidden);
  }
}
