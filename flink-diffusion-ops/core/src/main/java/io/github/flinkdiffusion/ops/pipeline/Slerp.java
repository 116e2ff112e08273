/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

/**
 * Spherical interpolation of two vectors (Shoemake 1985). Between two draws of Gaussian noise it
 * keeps the length that such noise has, which a straight line does not.
 */
final class Slerp {
  /** Cosine above which vectors are nearly parallel, and a straight line is as good. */
  private static final double PARALLEL = 0.9995;

  private Slerp() {}

  /**
   * @param share of the way, 0 is {@code from} and 1 is {@code to}
   * @return a new array
   */
  static float[] between(float[] from, float[] to, double share) {
    if (from.length != to.length) {
      throw new IllegalArgumentException(
          "Interpolating between %d and %d values.".formatted(from.length, to.length));
    }
    double product = 0;
    double fromSquares = 0;
    double toSquares = 0;
    for (int i = 0; i < from.length; i++) {
      product += (double) from[i] * to[i];
      fromSquares += (double) from[i] * from[i];
      toSquares += (double) to[i] * to[i];
    }
    double cosine = product / Math.sqrt(fromSquares * toSquares);
    double a = 1 - share;
    double b = share;
    // Not so where one is zeros: the cosine is not a number then.
    if (Math.abs(cosine) <= PARALLEL) {
      double angle = Math.acos(cosine);
      a = Math.sin(angle - angle * share) / Math.sin(angle);
      b = Math.sin(angle * share) / Math.sin(angle);
    }
    float[] between = new float[from.length];
    for (int i = 0; i < between.length; i++) {
      between[i] = (float) (a * from[i] + b * to[i]);
    }
    return between;
  }
}
