/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

/** A tree of numbers, each at least the one above it (ITU-T T.800, B.10.2). */
final class Jpeg2000TagTree {
  private final int[] widths;
  private final int[] offsets;
  private final int[] values;
  private final int[] states;
  private final int levels;

  Jpeg2000TagTree(int width, int height) {
    int[] w = new int[32];
    int[] o = new int[33];
    int level = 0;
    int x = width;
    int y = height;
    while (true) {
      w[level] = x;
      o[level + 1] = o[level] + x * y;
      level++;
      if (x * y <= 1) {
        break;
      }
      x = x + 1 >> 1;
      y = y + 1 >> 1;
    }
    widths = w;
    offsets = o;
    levels = level;
    values = new int[o[level]];
    states = new int[o[level]];
  }

  /**
   * Reads on until a leaf's number is known, or known to reach the threshold.
   *
   * @return the number if it is below the threshold, else the threshold
   */
  int read(Jpeg2000Bits bits, int x, int y, int threshold) {
    int low = 0;
    for (int level = levels - 1; level >= 0; level--) {
      int node = offsets[level] + (y >> level) * widths[level] + (x >> level);
      // A value is a lower bound until its state says that it is known.
      values[node] = Math.max(values[node], low);
      while (values[node] < threshold && states[node] == 0) {
        if (bits.bit() == 1) {
          states[node] = 1;
        } else {
          values[node]++;
        }
      }
      low = values[node];
    }
    return Math.min(low, threshold);
  }
}
