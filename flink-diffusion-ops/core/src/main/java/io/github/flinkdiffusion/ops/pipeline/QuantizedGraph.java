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
import io.github.flinkdiffusion.ops.weights.Int8Weights;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.util.Optional;

/** Networks of any class whose files have weights in int8 ({@link Int8Weights}). */
final class QuantizedGraph {
  private QuantizedGraph() {}

  /**
   * The graph with int8 parameters where the weights are so. Those without scales stay as they are,
   * and are refused when they are loaded.
   */
  static Graph of(Graph graph, TensorStore weights) {
    boolean any = graph.parameterShapes().keySet().stream().anyMatch(name -> is(weights, name));
    return any
        ? graph.rewritten(
            (method, operation, inputs) ->
                operation.op() == Op.PARAMETER
                        && is(weights, (String) operation.attributes().get(0))
                    ? Optional.of(
                        dequantized(graph, method, (String) operation.attributes().get(0)))
                    : Optional.empty())
        : graph;
  }

  private static boolean is(TensorStore weights, String name) {
    return weights.contains(name)
        && weights.info(name).dtype() == DType.I8
        && weights.contains(name + Int8Weights.SCALE);
  }

  private static Value dequantized(Graph graph, Method method, String name) {
    long[] shape = graph.parameterShapes().get(name);
    return method.dequantize(
        method.graph().parameter(name, DType.I8, shape),
        method.graph().parameter(name + Int8Weights.SCALE, shape[0]),
        shape.length);
  }
}
