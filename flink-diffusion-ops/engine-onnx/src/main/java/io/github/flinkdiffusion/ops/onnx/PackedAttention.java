/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnx;

import io.github.flinkdiffusion.ops.graph.Op;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Attention whose heads are split from, and joined to, the last dimension: what a graph says in
 * eight operations, and ONNX Runtime computes in one, without moving anything.
 *
 * @param inputs q [N,T,heads*d], k and v [N,S,heads*d], and what is added to scores, if anything
 * @param heads into which the last dimension is split
 * @param causal whether no token sees a later one
 */
record PackedAttention(List<Value> inputs, int heads, boolean causal) {
  PackedAttention {
    inputs = List.copyOf(inputs);
  }

  /** What the value is the joined result of, if it is one. */
  static Optional<PackedAttention> of(Value value) {
    if (!is(value, Op.FLATTEN, 2, 3)) {
      return Optional.empty();
    }
    Value transposed = value.inputs().get(0);
    if (!is(transposed, Op.TRANSPOSE, 1, 2) || transposed.inputs().get(0).op() != Op.ATTENTION) {
      return Optional.empty();
    }
    Value attention = transposed.inputs().get(0);
    List<Value> inputs = new ArrayList<>();
    int heads = 0;
    for (Value part : attention.inputs().subList(0, 3)) {
      if (!is(part, Op.TRANSPOSE, 1, 2) || part.inputs().get(0).op() != Op.UNFLATTEN) {
        return Optional.empty();
      }
      Value split = part.inputs().get(0);
      List<?> sizes = (List<?>) split.attributes().get(1);
      int of = ((Number) sizes.get(0)).intValue();
      if (!split.attributes().get(0).equals(2)
          || sizes.size() != 2
          || of < 1
          || heads != 0 && of != heads) {
        return Optional.empty();
      }
      heads = of;
      inputs.add(split.inputs().get(0));
    }
    Value bias = attention.inputs().get(3);
    if (bias != null) {
      inputs.add(bias);
    }
    return Optional.of(new PackedAttention(inputs, heads, (Boolean) attention.attributes().get(0)));
  }

  private static boolean is(Value value, Op op, int first, int second) {
    return value.op() == op && value.attributes().equals(List.of(first, second));
  }
}
