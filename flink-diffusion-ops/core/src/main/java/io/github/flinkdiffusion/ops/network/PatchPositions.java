/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;

/**
 * Sines and cosines of patches' columns and rows (diffusers' PatchEmbed with {@code sincos}), for a
 * grid of any size: it is stretched to the size that the network was trained on.
 */
final class PatchPositions {
  private static final double MAXIMUM_PERIOD = 10_000;

  private PatchPositions() {}

  /**
   * @param grid [N,C,h,w]
   * @param size of a token, a multiple of 4
   * @param side patches along a side in training
   * @param interpolation what positions are divided by
   * @return [h*w,size] in float32: of the column, then of the row
   */
  static Value of(Scope at, Value grid, int size, int side, double interpolation) {
    Method m = at.method();
    float[] frequencies = new float[size / 4];
    for (int i = 0; i < frequencies.length; i++) {
      frequencies[i] = (float) (1 / Math.pow(MAXIMUM_PERIOD, (double) i / frequencies.length));
    }
    Value frequency = m.graph().constant(at.prefix() + "position_frequencies", frequencies);
    Value rows = half(m, m.indices(grid, 2), frequency, side, interpolation);
    Value columns = half(m, m.indices(grid, 3), frequency, side, interpolation);
    var both = Rotary.grid(m, rows, columns);
    return m.concatenate(1, both.get(1), both.get(0));
  }

  private static Value half(
      Method m, Value indices, Value frequency, int side, double interpolation) {
    // The mean of 0 .. n-1 tells n.
    Value count = m.add(m.multiply(m.meanAlong(indices, 0), 2), 1);
    Value positions =
        m.multiply(m.divide(indices, m.multiply(count, 1.0 / side)), 1 / interpolation);
    Value angles = m.multiply(m.unsqueeze(positions, 1), frequency);
    return m.concatenate(1, m.sin(angles), m.cos(angles));
  }
}
