/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Op;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.QuantizedWeights;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.util.Optional;

/** Networks of any class whose files have weights in int8 or int4 ({@link QuantizedWeights}). */
final class QuantizedGraph {
  private QuantizedGraph() {}

  /**
   * The graph with such parameters where the weights are so. Those without scales stay as they are,
   * and are refused when they are loaded.
   */
  static Graph of(Graph graph, TensorStore weights) {
    boolean any =
        graph.parameterShapes().keySet().stream()
            .anyMatch(name -> QuantizedWeights.kind(weights, name).isPresent());
    return any
        ? graph.rewritten(
            (method, operation, inputs) ->
                operation.op() == Op.PARAMETER
                    ? dequantized(graph, method, (String) operation.attributes().get(0), weights)
                    : Optional.empty())
        : graph;
  }

  private static Optional<Value> dequantized(
      Graph graph, Method method, String name, TensorStore weights) {
    long[] shape = graph.parameterShapes().get(name);
    String scale = name + QuantizedWeights.SCALE;
    return QuantizedWeights.kind(weights, name)
        .map(
            kind -> {
              if (kind == QuantizedWeights.Kind.INT8) {
                return method.dequantize(
                    method.graph().parameter(name, DType.I8, shape),
                    method.graph().parameter(scale, shape[0]),
                    shape.length);
              }
              long groups = QuantizedWeights.groups(Graph.elements(shape) / shape[0]);
              return method.dequantizeGroups(
                  method
                      .graph()
                      .parameter(name, DType.U8, shape[0], groups * QuantizedWeights.GROUP / 2),
                  method.graph().parameter(scale, shape[0], groups),
                  shape);
            });
  }
}
