/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.graph;

import io.github.flinkdiffusion.ops.weights.TensorPlace;
import java.io.IOException;
import java.io.OutputStream;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/** Where a network's weights come from. Asked while it is loaded, once for each tensor. */
@Internal
@FunctionalInterface
public interface ParameterSource {
  /**
   * Writes the tensor's elements, little-endian, in C order, in the parameter's type ({@link
   * Graph#type}).
   *
   * @param name the parameter
   * @param shape the shape the graph declared; an implementation refuses a tensor of another shape
   */
  void write(String name, long[] shape, OutputStream out) throws IOException;

  /**
   * Where a file holds exactly what {@link #write} would write; empty if none does.
   *
   * @param name the parameter
   */
  default Optional<TensorPlace> place(String name) {
    return Optional.empty();
  }
}
