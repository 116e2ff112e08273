/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.Arrays;

/**
 * One component of a frame, whole macroblocks, with a border above and to the left from which the
 * first blocks are predicted: 127 above, 129 to the left (RFC 6386, section 12.2).
 */
final class Vp8Plane {
  private static final int ABOVE = 127;
  private static final int LEFT = 129;

  /** Pixels of the border to the right, which subblocks of the last macroblock look at. */
  private static final int RIGHT = 4;

  final int width;
  final int height;
  final int stride;
  final byte[] samples;

  Vp8Plane(int width, int height) {
    this.width = width;
    this.height = height;
    this.stride = 1 + width + RIGHT;
    this.samples = new byte[Math.multiplyExact(stride, height + 1)];
    Arrays.fill(samples, 0, stride, (byte) ABOVE);
    for (int y = 0; y < height; y++) {
      samples[at(-1, y)] = (byte) LEFT;
    }
  }

  int at(int x, int y) {
    return (y + 1) * stride + x + 1;
  }

  int get(int at) {
    return samples[at] & 0xFF;
  }

  void set(int at, int value) {
    samples[at] = (byte) value;
  }

  static int clip(int value) {
    return value < 0 ? 0 : Math.min(value, 255);
  }
}
