/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import java.util.Arrays;

/**
 * A compiled {@link Linear}: which arrays, and with what weights. Each value is summed in double
 * precision in a fixed order and rounded once, so the result does not depend on the machine.
 */
record WeightedSum(int[] positions, double[] weights) {

  /**
   * Position of the array that this sum merely repeats, or -1 when there is something to compute.
   */
  int alias() {
    return positions.length == 1 && weights[0] == 1 ? positions[0] : -1;
  }

  /** The same sum with one array's weight multiplied. */
  WeightedSum scaled(int position, double factor) {
    double[] scaled = weights.clone();
    for (int t = 0; t < scaled.length; t++) {
      scaled[t] = positions[t] == position ? scaled[t] * factor : scaled[t];
    }
    return new WeightedSum(positions, scaled);
  }

  /** Writes the sum of the basis's arrays to {@code target}, which must be none of them. */
  void evaluate(float[][] basis, float[] target) {
    int terms = positions.length;
    if (terms == 1) {
      one(basis[positions[0]], weights[0], target);
    } else if (terms == 2) {
      two(basis[positions[0]], weights[0], basis[positions[1]], weights[1], target);
    } else {
      any(basis, target);
    }
  }

  private static void one(float[] a, double wa, float[] target) {
    for (int i = 0; i < target.length; i++) {
      target[i] = (float) (wa * a[i]);
    }
  }

  private static void two(float[] a, double wa, float[] b, double wb, float[] target) {
    for (int i = 0; i < target.length; i++) {
      target[i] = (float) (wa * a[i] + wb * b[i]);
    }
  }

  private void any(float[][] basis, float[] target) {
    int terms = positions.length;
    float[][] arrays = new float[terms][];
    for (int t = 0; t < terms; t++) {
      arrays[t] = basis[positions[t]];
    }
    for (int i = 0; i < target.length; i++) {
      double sum = 0;
      for (int t = 0; t < terms; t++) {
        sum += weights[t] * arrays[t][i];
      }
      target[i] = (float) sum;
    }
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof WeightedSum that
        && Arrays.equals(positions, that.positions)
        && Arrays.equals(weights, that.weights);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.hashCode(positions) + Arrays.hashCode(weights);
  }

  @Override
  public String toString() {
    StringBuilder text = new StringBuilder();
    String[] names = {"x", "out", "d", "noise"};
    for (int t = 0; t < positions.length; t++) {
      int position = positions[t];
      String name =
          position < Linear.REMEMBERED ? names[position] : "h" + (position - Linear.REMEMBERED);
      text.append(t == 0 ? "" : " + ").append(weights[t]).append('*').append(name);
    }
    return text.length() == 0 ? "0" : text.toString();
  }
}
