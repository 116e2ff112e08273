/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnx;

import java.util.List;

/** Attributes of an operation of a graph as numbers. */
final class OpAttributes {
  private OpAttributes() {}

  static int integer(Object attribute) {
    return Math.toIntExact(((Number) attribute).longValue());
  }

  static float number(Object attribute) {
    return ((Number) attribute).floatValue();
  }

  static long[] longs(Object attribute) {
    return ((List<?>) attribute).stream().mapToLong(each -> ((Number) each).longValue()).toArray();
  }

  /** A dimension from 0; negative ones count from the end. */
  static int dimension(Object attribute, int rank) {
    int dimension = integer(attribute);
    return dimension < 0 ? dimension + rank : dimension;
  }
}
