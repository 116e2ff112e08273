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
 * What IP-Adapters need before the first step: CLIP's vision network, and of each adapter the
 * projection of what it gives to tokens of a UNet's context.
 */
@Internal
public final class IpAdapterProjection {
  /** The method that gives image embeddings of pixels, as {@link ClipVision#FORWARD}. */
  public static final String EMBEDDING = ClipVision.FORWARD;

  /** The method that gives the hidden vectors [N,1+patches,hidden] before the last layer. */
  public static final String HIDDEN = "before_last";

  private static final double EPSILON = 1e-5;

  private final ClipVisionConfig vision;
  private final List<IpAdapterShape> adapters;

  public IpAdapterProjection(ClipVisionConfig vision, List<IpAdapterShape> adapters) {
    this.vision = vision;
    this.adapters = List.copyOf(adapters);
  }

  /** The method that gives an adapter's tokens [N,T,context] of embeddings or hidden vectors. */
  public static String tokens(int adapter) {
    return "tokens_" + adapter;
  }

  /**
   * {@link #EMBEDDING} and {@link #HIDDEN}, as far as an adapter needs them, take pixels; {@link
   * #tokens} of each adapter takes what one of them gives. Parameters of the vision network have
   * its checkpoint's names, those of an adapter stand behind {@link IpAdapters#component} and a
   * dot.
   */
  public Graph graph() {
    Graph graph = new Graph();
    if (!adapters.stream().allMatch(IpAdapterShape::seesHidden)) {
      Method embedding = graph.method(EMBEDDING);
      Value pixels = embedding.input("pixels", 4);
      embedding.returns(
          embedding.toFloat(new ClipVision(vision).emit(new Scope(embedding, ""), pixels)));
    }
    if (adapters.stream().anyMatch(IpAdapterShape::seesHidden)) {
      Method hidden = graph.method(HIDDEN);
      Value pixels = hidden.input("pixels", 4);
      hidden.returns(
          hidden.toFloat(new ClipVision(vision).beforeLast(new Scope(hidden, ""), pixels)));
    }
    for (int i = 0; i < adapters.size(); i++) {
      IpAdapterShape adapter = adapters.get(i);
      Method tokens = graph.method(tokens(i));
      Value given = tokens.input("image", adapter.seesHidden() ? 3 : 2);
      Scope at = new Scope(tokens, IpAdapters.component(i) + ".image_proj.");
      tokens.returns(tokens.toFloat(emit(at, adapter, given)));
    }
    return graph;
  }

  private static Value emit(Scope at, IpAdapterShape adapter, Value given) {
    return switch (adapter.projection()) {
      case LINEAR -> linear(at, adapter, given);
      case FULL -> full(at, adapter, given);
      case RESAMPLER -> resampler(at, adapter, given);
    };
  }

  private static Value linear(Scope at, IpAdapterShape adapter, Value embedding) {
    Method m = at.method();
    int out = adapter.contextSize();
    Value weight = at.parameter("proj.weight", adapter.tokens() * out, adapter.inputSize());
    Value all =
        m.linear(
            m.castAs(embedding, weight), weight, at.parameter("proj.bias", adapter.tokens() * out));
    return at.layerNorm("norm", m.unflatten(all, 1, adapter.tokens(), out), out, EPSILON);
  }

  private static Value full(Scope at, IpAdapterShape adapter, Value hidden) {
    Method m = at.method();
    int in = adapter.inputSize();
    int out = adapter.contextSize();
    Value x = m.castAs(hidden, at.parameter("proj.0.bias", in));
    x = m.gelu(at.linear("proj.0", x, in, in));
    return at.layerNorm("proj.3", at.linear("proj.2", x, in, out), out, EPSILON);
  }

  /** Queries that look at the image and at each other, layer by layer. */
  private static Value resampler(Scope at, IpAdapterShape adapter, Value hidden) {
    Method m = at.method();
    int size = adapter.hiddenSize();
    Value first = at.parameter("latents", 1, adapter.tokens(), size);
    Value x = at.linear("proj_in", m.castAs(hidden, first), adapter.inputSize(), size);
    // One row of queries for each image: those of the file, and nothing of the first vector.
    Value rows = m.multiply(m.narrow(x, 1, 0, 1), 0);
    Value queries = m.add(rows, first);
    for (int i = 0; i < IpAdapterShape.RESAMPLER_LAYERS; i++) {
      queries = layer(at.child("layers", i), adapter, x, queries);
    }
    Value out = at.linear("proj_out", queries, size, adapter.contextSize());
    return at.layerNorm("norm_out", out, adapter.contextSize(), EPSILON);
  }

  private static Value layer(Scope at, IpAdapterShape adapter, Value x, Value queries) {
    Method m = at.method();
    int size = adapter.hiddenSize();
    int inner = adapter.heads() * IpAdapterShape.HEAD_SIZE;
    Scope attention = at.child("0");
    Value own = attention.layerNorm("norm2", queries, size, EPSILON);
    Value seen = m.concatenate(1, attention.layerNorm("norm1", x, size, EPSILON), own);
    Value both = attention.linearWithoutBias("to_kv", seen, size, 2 * inner);
    Value attended =
        attention.heads(
            attention.linearWithoutBias("to_q", own, size, inner),
            m.narrow(both, 2, 0, inner),
            m.narrow(both, 2, inner, inner),
            adapter.heads(),
            IpAdapterShape.HEAD_SIZE,
            false);
    Value y = m.add(attention.linearWithoutBias("to_out", attended, inner, size), queries);
    Scope forward = at.child("1");
    Value h = forward.layerNorm("0", y, size, EPSILON);
    h = m.gelu(forward.linearWithoutBias("1", h, size, 4 * size));
    return m.add(forward.linearWithoutBias("3", h, 4 * size, size), y);
  }
}
