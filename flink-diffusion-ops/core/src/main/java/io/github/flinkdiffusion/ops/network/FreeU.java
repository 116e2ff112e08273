/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;

/**
 * FreeU (Si et al. 2023) as diffusers' {@code apply_freeu}: on the first two levels of the way up,
 * half of the image's channels weigh more, and the lowest frequencies of the skip connection less.
 */
final class FreeU {
  /** Levels of the way up, counted from the lowest. */
  static final int LEVELS = 2;

  private static final double TURN = 2 * Math.PI;

  private FreeU() {}

  /**
   * @param more what is added to the factor of 1, [N,1,1,1]
   */
  static Value image(Method m, Value x, int channels, Value more) {
    int half = channels / 2;
    Value first = m.narrow(x, 1, 0, half);
    return m.concatenate(
        1,
        m.add(first, m.multiply(first, m.castAs(more, first))),
        m.narrow(x, 1, half, channels - half));
  }

  /**
   * Scales the four lowest of the shifted spectrum's frequencies, -1 and 0 along each side. Their
   * part is a projection on seven waves: with a = 2 pi y / H and b = 2 pi x / W, the constant one,
   * and cosine and sine of a, b and a + b.
   *
   * @param more what is added to the factor of 1, [N,1,1,1]
   */
  static Value skip(Method m, Value x, Value more) {
    Value wide = m.toFloat(x);
    Value rows = m.unsqueeze(angles(m, wide, 2), 1);
    Value columns = m.unsqueeze(angles(m, wide, 3), 0);
    Value a = m.add(rows, m.multiply(columns, 0));
    Value b = m.add(columns, m.multiply(rows, 0));
    Value both = m.add(rows, columns);
    Value waves =
        m.concatenate(
            1,
            wave(m, m.cos(m.multiply(both, 0))),
            wave(m, m.cos(a)),
            wave(m, m.sin(a)),
            wave(m, m.cos(b)),
            wave(m, m.sin(b)),
            wave(m, m.cos(both)),
            wave(m, m.sin(both)));
    Value products = m.matrixProduct(m.flatten(wide, 2, 3), waves);
    Value low =
        m.reshapeAs(
            m.multiply(
                m.matrixProduct(products, m.transpose(waves, 0, 1)),
                m.multiply(share(m, wide, 2), share(m, wide, 3))),
            wide);
    return m.castAs(m.add(wide, m.multiply(low, more)), x);
  }

  private static Value wave(Method m, Value grid) {
    return m.unsqueeze(m.flatten(grid, 0, 1), 1);
  }

  /** 2 pi i / L of each place i along a side of L pixels, [L]. */
  private static Value angles(Method m, Value x, int side) {
    return m.divide(m.multiply(m.indices(x, side), TURN), length(m, x, side));
  }

  /** 0 to L - 1 have a mean of (L - 1) / 2. */
  private static Value length(Method m, Value x, int side) {
    return m.add(m.multiply(m.meanAlong(m.indices(x, side), 0), 2), 1);
  }

  /**
   * 1 / L, and half of it for a side of one pixel, whose frequencies -1 and 0 are the same one: the
   * mean of a turn's cosines is 1 there and 0 otherwise.
   */
  private static Value share(Method m, Value x, int side) {
    Value single = m.meanAlong(m.cos(angles(m, x, side)), 0);
    return m.divide(m.add(m.multiply(single, -0.5), 1), length(m, x, side));
  }
}
