/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnxruntime;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Tensor;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.ArrayDeque;
import java.util.Collections;
import java.util.Deque;
import java.util.IdentityHashMap;
import java.util.Objects;
import java.util.Set;

/**
 * Tells calls that are so small that threads that wait asleep would wake each other longer than
 * they compute.
 *
 * <p>Decided from the method's operations and the sizes of a call, never from measured time, and
 * cautiously: as if each weight were used at each pixel, or token, of the largest argument or
 * result, which overstates a UNet's work five to a hundred times. What is not seen to be small is
 * not small.
 */
final class SmallCalls {
  /**
   * Multiplications of an operation, on average, up to which a call is small: threads meet after
   * each operation. Measured, see docs/profiles.md.
   */
  static final double UP_TO = 100_000;

  /** Weights of an operation, on average, and one for the operation itself. */
  private final double weights;

  /** The last result's positions over its arguments'; zero before the first call. */
  private double growth;

  SmallCalls(Method method) {
    Set<Value> seen = Collections.newSetFromMap(new IdentityHashMap<>());
    Deque<Value> pending = new ArrayDeque<>(method.results());
    double parameters = 0;
    int operations = 0;
    while (!pending.isEmpty()) {
      Value value = pending.pop();
      if (seen.add(value)) {
        switch (value.op()) {
          case PARAMETER ->
              parameters +=
                  elements(
                      0, method.graph().parameterShapes().get((String) value.attributes().get(0)));
          case INPUT, CONSTANT -> {}
          default -> operations++;
        }
        value.inputs().stream().filter(Objects::nonNull).forEach(pending::push);
      }
    }
    this.weights = parameters / Math.max(1, operations) + 1;
  }

  /** Whether a call with these arguments is; not before a result was seen. */
  boolean has(Tensor... arguments) {
    return growth > 0 && weights * positions(arguments) * Math.max(1, growth) <= UP_TO;
  }

  /** A call's result, of which a decoder's is larger than its arguments. */
  void saw(HostTensor result, Tensor... arguments) {
    growth = positions(result) / positions(arguments);
  }

  /** Of the largest tensor: pixels or tokens, of all rows together. */
  private static double positions(Tensor... tensors) {
    double largest = 0;
    for (Tensor tensor : tensors) {
      largest = Math.max(largest, positions(tensor));
    }
    return largest;
  }

  /** Of [rows, channels, height, width], [rows, tokens, channels] or [rows, tokens]. */
  private static double positions(Tensor tensor) {
    long[] shape = tensor.shape();
    double rows = shape.length > 0 ? shape[0] : 1;
    boolean tokens = shape.length == 3 || shape.length == 2 && tensor instanceof HostTensor.Longs;
    if (tokens) {
      return rows * shape[1];
    }
    return shape.length > 3 ? rows * elements(2, shape) : rows;
  }

  /** The product of the dimensions from one of them on. */
  private static double elements(int from, long... shape) {
    double elements = 1;
    for (int i = from; i < shape.length; i++) {
      elements *= shape[i];
    }
    return elements;
  }
}
