/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import java.util.Arrays;

/**
 * A linear combination of the arrays a step may use, while a plan is being compiled: the
 * scheduler's formula, written with {@link #plus} and {@link #times} as on paper, with numbers only
 * for coefficients. Immutable.
 */
final class Linear {

  /**
   * Positions of the arrays in a step's basis; remembered arrays follow from {@link #REMEMBERED}
   * on, newest first.
   */
  static final int SAMPLE = 0;

  static final int OUTPUT = 1;
  static final int LIMITED = 2;
  static final int NOISE = 3;
  static final int REMEMBERED = 4;

  /** No scheduler remembers more than this many arrays (PNDM's Runge-Kutta phase: 5). */
  static final int MAX_REMEMBERED = 6;

  static final int WIDTH = REMEMBERED + MAX_REMEMBERED;

  static final Linear ZERO = new Linear(new double[WIDTH]);

  private final double[] coefficients;

  private Linear(double[] coefficients) {
    this.coefficients = coefficients;
  }

  static Linear of(int position) {
    double[] unit = new double[WIDTH];
    unit[position] = 1;
    return new Linear(unit);
  }

  Linear plus(Linear other) {
    double[] sum = coefficients.clone();
    for (int i = 0; i < WIDTH; i++) {
      sum[i] += other.coefficients[i];
    }
    return new Linear(sum);
  }

  Linear minus(Linear other) {
    return plus(other.times(-1));
  }

  /** Scales; what does not occur stays out, even for an infinite factor. */
  Linear times(double factor) {
    double[] product = new double[WIDTH];
    for (int i = 0; i < WIDTH; i++) {
      product[i] = coefficients[i] == 0 ? 0 : coefficients[i] * factor;
    }
    return new Linear(product);
  }

  Linear dividedBy(double divisor) {
    double[] quotient = new double[WIDTH];
    for (int i = 0; i < WIDTH; i++) {
      quotient[i] = coefficients[i] == 0 ? 0 : coefficients[i] / divisor;
    }
    return new Linear(quotient);
  }

  boolean isFinite() {
    return Arrays.stream(coefficients).allMatch(Double::isFinite);
  }

  WeightedSum compile() {
    int[] positions = new int[WIDTH];
    double[] weights = new double[WIDTH];
    int terms = 0;
    for (int i = 0; i < WIDTH; i++) {
      if (coefficients[i] != 0) {
        positions[terms] = i;
        weights[terms++] = coefficients[i];
      }
    }
    return new WeightedSum(Arrays.copyOf(positions, terms), Arrays.copyOf(weights, terms));
  }
}
