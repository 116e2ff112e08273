/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.graph.Op;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.Optional;
import java.util.function.Predicate;

/** Finds layers in a graph by the name of their weight. */
final class LayerInputs {
  private static final String WEIGHT = ".weight";

  private LayerInputs() {}

  /** The name of a parameter; empty if the value is none. */
  static Optional<String> parameter(Value value) {
    return value != null && value.op() == Op.PARAMETER
        ? Optional.of((String) value.attributes().get(0))
        : Optional.empty();
  }

  /**
   * The path of a linear layer or a convolution, without {@code .weight}.
   *
   * @param layers paths that are looked for
   * @return empty if the operation is no such layer
   */
  static Optional<String> path(Value operation, Predicate<String> layers) {
    if (operation.op() != Op.LINEAR && operation.op() != Op.CONV2D) {
      return Optional.empty();
    }
    return parameter(operation.inputs().get(1))
        .filter(name -> name.endsWith(WEIGHT))
        .map(name -> name.substring(0, name.length() - WEIGHT.length()))
        .filter(layers);
  }
}
