/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.graph;

import java.util.List;
import java.util.Objects;
import org.apache.flink.annotation.Internal;

/**
 * One tensor in a {@link Method}: what operation makes it, from which other values.
 *
 * @param op the operation
 * @param inputs the tensors it reads; null stands for an absent optional tensor (a missing bias)
 * @param attributes the operation's constants, in the order that {@link Op} documents
 */
@Internal
public record Value(Op op, List<Value> inputs, List<Object> attributes) {
  public Value {
    Objects.requireNonNull(op, "op");
    inputs = java.util.Collections.unmodifiableList(new java.util.ArrayList<>(inputs));
    attributes = List.copyOf(attributes);
  }

  /** Values are nodes: two nodes with equal parts are still two computations. */
  @Override
  public boolean equals(Object other) {
    return this == other;
  }

  @Override
  public int hashCode() {
    return System.identityHashCode(this);
  }

  @Override
  public String toString() {
    return op + attributes.toString();
  }
}
