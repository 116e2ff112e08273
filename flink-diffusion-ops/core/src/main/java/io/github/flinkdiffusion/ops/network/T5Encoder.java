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
 * transformers' T5EncoderModel (Raffel et al. 2020, version 1.1): token ids to hidden states.
 * Positions are known by a bias of the attention alone, which the first layer has for all.
 */
@Internal
public final class T5Encoder {
  /** The method that sees all tokens, padding too. */
  public static final String FORWARD = "forward";

  /** The method that sees no padding. */
  public static final String MASKED = "masked";

  /** Added to the scores of what is not seen; less than any score. */
  private static final double UNSEEN = -1e9;

  private final T5Config config;

  public T5Encoder(T5Config config) {
    this.config = config;
  }

  /**
   * A graph with {@link #FORWARD} (ids int64 [N,T], buckets int64 [N,T,T]: {@link
   * T5Config#bucketsOf} of each row) and {@link #MASKED} (and mask [N,T], 1 for what is seen, 0 for
   * padding). Both give [N,T,hidden] in float32.
   */
  public Graph graph() {
    Graph graph = new Graph();
    Method forward = graph.method(FORWARD);
    Value ids = forward.integers("ids", 2);
    Value buckets = forward.integers("buckets", 3);
    forward.returns(forward.toFloat(emit(new Scope(forward, ""), ids, buckets, null)));
    Method masked = graph.method(MASKED);
    ids = masked.integers("ids", 2);
    buckets = masked.integers("buckets", 3);
    Value mask = masked.input("mask", 2);
    masked.returns(masked.toFloat(emit(new Scope(masked, ""), ids, buckets, mask)));
    return graph;
  }

  /**
   * Adds the network to a method; shapes as in {@link #graph()}, result in the weights' dtype.
   *
   * @param mask null for none
   */
  public Value emit(Scope at, Value ids, Value buckets, Value mask) {
    Method m = at.method();
    int hidden = config.hidden();
    Value x = m.embedding(ids, at.parameter("shared.weight", config.vocabSize(), hidden));
    Value table =
        at.child("encoder.block", 0)
            .parameter(
                "layer.0.SelfAttention.relative_attention_bias.weight",
                config.buckets(),
                config.heads());
    Value bias = m.permute(m.embedding(buckets, table), 0, 3, 1, 2);
    if (mask != null) {
      Value unseen = m.multiply(m.add(mask, -1), -UNSEEN);
      bias = m.add(bias, m.castAs(m.unsqueeze(m.unsqueeze(unseen, 1), 1), bias));
    }
    for (int i = 0; i < config.layers(); i++) {
      x = block(at.child("encoder.block", i), x, bias);
    }
    return norm(at.child("encoder.final_layer_norm"), x);
  }

  private Value norm(Scope at, Value x) {
    int hidden = config.hidden();
    return at.method().rmsNorm(x, hidden, at.parameter("weight", hidden), config.epsilon());
  }

  private Value block(Scope at, Value x, Value bias) {
    Method m = at.method();
    int hidden = config.hidden();
    int inner = config.heads() * config.headSize();
    Scope attention = at.child("layer.0.SelfAttention");
    Value h = norm(at.child("layer.0.layer_norm"), x);
    // Scores are not scaled.
    Value q = m.multiply(heads(attention, "q", h), Math.sqrt(config.headSize()));
    Value attended = m.attention(q, heads(attention, "k", h), heads(attention, "v", h), bias);
    attended = m.flatten(m.transpose(attended, 1, 2), 2, 3);
    Value y = m.add(x, attention.linearWithoutBias("o", attended, inner, hidden));
    Scope forward = at.child("layer.1.DenseReluDense");
    h = norm(at.child("layer.1.layer_norm"), y);
    int size = config.inner();
    Value between =
        config.gated()
            ? m.multiply(
                m.geluTanh(forward.linearWithoutBias("wi_0", h, hidden, size)),
                forward.linearWithoutBias("wi_1", h, hidden, size))
            : m.relu(forward.linearWithoutBias("wi", h, hidden, size));
    return m.add(y, forward.linearWithoutBias("wo", between, size, hidden));
  }

  private Value heads(Scope at, String name, Value x) {
    Value all = at.linearWithoutBias(name, x, config.hidden(), config.heads() * config.headSize());
    Method m = at.method();
    return m.transpose(m.unflatten(all, 2, config.heads(), config.headSize()), 1, 2);
  }
}
