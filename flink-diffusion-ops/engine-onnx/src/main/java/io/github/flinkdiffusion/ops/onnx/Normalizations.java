/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnx;

import io.github.flinkdiffusion.ops.onnx.OnnxGraph.Attribute;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Normalizations of groups, layers and root mean squares. */
final class Normalizations {
  private final TensorNodes nodes;
  private final OnnxGraph onnx;

  Normalizations(TensorNodes nodes) {
    this.nodes = nodes;
    this.onnx = nodes.onnx;
  }

  /**
   * As a normalization of instances, which uses one processor for it. Tried instead,
   * mini-brain-mask's UNet, 8 rows, 2 threads, 115 ms: written out with mean and variance of
   * differences, 131 ms, since images are passed over more often; ONNX's own operator becomes a
   * difference of large sums, which cancels.
   */
  ModelTensor groupNorm(List<ModelTensor> in, long groups, float epsilon) {
    ModelTensor x = in.get(0);
    String grouped = onnx.node("Reshape", List.of(x.name(), onnx.integers(0, groups, -1)));
    float[] ones = new float[(int) groups];
    Arrays.fill(ones, 1);
    String normed =
        onnx.node(
            "InstanceNormalization",
            List.of(
                grouped,
                onnx.numbers("ones" + x.type() + groups, x.type(), new long[] {groups}, ones),
                onnx.numbers(
                    "zeros" + x.type() + groups,
                    x.type(),
                    new long[] {groups},
                    new float[(int) groups])),
            Attribute.number("epsilon", epsilon));
    String result = onnx.node("Reshape", List.of(normed, nodes.shape(x)));
    if (in.get(1) != null) {
      result = onnx.node("Mul", List.of(result, byChannel(in.get(1), x.rank())));
    }
    if (in.get(2) != null) {
      result = onnx.node("Add", List.of(result, byChannel(in.get(2), x.rank())));
    }
    return x.like(result);
  }

  /** A vector over channels [C] as [C,1,...], beside [N,C,...]. */
  private String byChannel(ModelTensor vector, int rank) {
    long[] dimensions = new long[rank - 2];
    for (int i = 0; i < dimensions.length; i++) {
      dimensions[i] = i + 1;
    }
    return onnx.node("Unsqueeze", List.of(vector.name(), onnx.integers(dimensions)));
  }

  ModelTensor layerNorm(List<ModelTensor> in, int size, float epsilon) {
    ModelTensor x = in.get(0);
    List<String> inputs = new ArrayList<>(ModelTensor.names(x));
    if (in.get(1) == null) {
      float[] ones = new float[size];
      Arrays.fill(ones, 1);
      inputs.add(onnx.numbers("ones" + x.type() + size, x.type(), new long[] {size}, ones));
    } else {
      inputs.add(in.get(1).name());
    }
    if (in.get(2) != null) {
      inputs.add(in.get(2).name());
    }
    return x.like(
        onnx.node(
            "LayerNormalization",
            inputs,
            Attribute.integer("axis", -1L),
            Attribute.number("epsilon", epsilon)));
  }

  /** ONNX Runtime's own operator: ONNX's, of operator set 23, it writes out. */
  ModelTensor rmsNorm(List<ModelTensor> in, int size, float epsilon) {
    ModelTensor x = in.get(0);
    String weight;
    if (in.get(1) == null) {
      float[] ones = new float[size];
      Arrays.fill(ones, 1);
      weight = onnx.numbers("ones" + x.type() + size, x.type(), new long[] {size}, ones);
    } else {
      weight = in.get(1).name();
    }
    return x.like(
        onnx.node(
            "SimplifiedLayerNormalization",
            List.of(x.name(), weight),
            Attribute.integer("axis", -1L),
            Attribute.number("epsilon", epsilon)));
  }
}
