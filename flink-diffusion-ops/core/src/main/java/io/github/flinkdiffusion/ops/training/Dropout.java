/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;
import org.apache.flink.annotation.Internal;

/**
 * Dropout of the inputs of layers, in training alone. diffusers' {@code dropout} of a UNet is that
 * of {@link #DIFFUSERS}.
 *
 * @param layers their paths in the graph
 * @param probability that an element becomes zero
 */
@Internal
public record Dropout(Predicate<String> layers, double probability) {
  /** Each residual block's second convolution, and the feed-forward layers' second layer. */
  public static final Predicate<String> DIFFUSERS =
      path -> path.matches(".*resnets\\.\\d+\\.conv2|.*\\.ff\\.net\\.2");

  public Dropout {
    if (!(probability >= 0 && probability < 1)) {
      throw new IllegalArgumentException(
          "The dropout is %s; it must be at least 0 and less than 1.".formatted(probability));
    }
  }

  /** A graph with dropout in it. */
  public Graph in(Graph graph) {
    if (probability == 0) {
      return graph;
    }
    return graph.rewritten(
        (m, operation, inputs) -> {
          if (LayerInputs.path(operation, layers).isEmpty()) {
            return Optional.empty();
          }
          List<Value> dropped = new ArrayList<>(inputs);
          dropped.set(0, m.dropout(inputs.get(0), probability));
          return Optional.of(new Value(operation.op(), dropped, operation.attributes()));
        });
  }
}
