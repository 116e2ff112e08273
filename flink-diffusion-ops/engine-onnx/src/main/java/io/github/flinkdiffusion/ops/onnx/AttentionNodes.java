/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnx;

import io.github.flinkdiffusion.ops.onnx.OnnxGraph.Attribute;
import io.github.flinkdiffusion.ops.weights.DType;
import java.util.ArrayList;
import java.util.List;

/** Attention, with heads that stand apart or within the last dimension, and rotary embedding. */
final class AttentionNodes {
  private final TensorNodes nodes;
  private final OnnxGraph onnx;

  AttentionNodes(TensorNodes nodes) {
    this.nodes = nodes;
    this.onnx = nodes.onnx;
  }

  ModelTensor attention(List<ModelTensor> in, boolean causal) {
    List<String> inputs = new ArrayList<>(ModelTensor.names(in.get(0), in.get(1), in.get(2)));
    if (in.get(3) != null) {
      inputs.add(scoresBias(in.get(3), in.get(0), in.get(1), 2));
    }
    return in.get(0)
        .like(onnx.node("Attention", inputs, Attribute.integer("is_causal", causal ? 1L : 0L)));
  }

  ModelTensor packedAttention(PackedAttention packed, List<ModelTensor> in) {
    List<String> inputs = new ArrayList<>(ModelTensor.names(in.get(0), in.get(1), in.get(2)));
    if (in.size() > 3) {
      // Bias of the projections, mask over keys: neither is used; then what is added to scores.
      inputs.addAll(List.of("", "", scoresBias(in.get(3), in.get(0), in.get(1), 1)));
    }
    return in.get(0)
        .like(
            onnx.node(
                OnnxGraph.MICROSOFT,
                "MultiHeadAttention",
                inputs,
                Attribute.integer("num_heads", (long) packed.heads()),
                Attribute.integer("unidirectional", packed.causal() ? 1L : 0L)));
  }

  /**
   * What is added to scores as [1 or N,1 or heads,T,S]: the library broadcasts over rows and heads
   * alone.
   *
   * @param tokens dimension of T in q, and of S in k
   */
  private String scoresBias(ModelTensor bias, ModelTensor q, ModelTensor k, int tokens) {
    String sizes =
        nodes.joined(
            List.of(
                onnx.integers(1, 1),
                nodes.shape(q, tokens, tokens + 1),
                nodes.shape(k, tokens, tokens + 1)));
    return onnx.node("Expand", List.of(bias.name(), sizes));
  }

  ModelTensor rotated(List<ModelTensor> in, boolean neighbours) {
    ModelTensor x = in.get(0);
    List<String> inputs = new ArrayList<>();
    inputs.add(nodes.converted(x, DType.F32).name());
    for (ModelTensor table : in.subList(1, 3)) {
      // The operator takes a table for each row.
      String sizes = nodes.joined(List.of(nodes.shape(x, 0, 1), nodes.shape(table, 1, 3)));
      inputs.add(onnx.node("Expand", List.of(nodes.converted(table, DType.F32).name(), sizes)));
    }
    String turned =
        onnx.node(
            "RotaryEmbedding", inputs, Attribute.integer("interleaved", neighbours ? 1L : 0L));
    return nodes.converted(new ModelTensor(turned, DType.F32, x.rank()), x.type());
  }
}
