/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.noise;

import org.apache.flink.annotation.Internal;

/**
 * Standard normal noise over a plane without end: the value at a place depends on the seed, the
 * draw, the channel and the absolute coordinates, and on nothing else. Two tiles of a picture that
 * overlap get the same values there to the bit, whichever is drawn first and on whatever machine,
 * and a tile of a huge picture costs no more than its own size.
 *
 * <p>Values are made by {@link Philox Philox4x32-10} and Box-Muller with {@link StrictMath}; the
 * largest there are lie near 6.7.
 *
 * <pre>{@code
 * NoiseField field = new NoiseField(seed);
 * float[] start = field.draw(0, 3, tile.x(), tile.y(), tile.width(), tile.height());
 * float[] step1 = field.draw(1, 3, tile.x(), tile.y(), tile.width(), tile.height());
 * }</pre>
 *
 * @param seed any value; all of its 64 bits matter
 */
@Internal
public record NoiseField(long seed) {
  /** A call of Philox gives this many values, which stand beside each other in a row. */
  private static final int GROUP = 4;

  private static final double TWO_PI = 2 * Math.PI;

  /**
   * One draw's values over a part of the plane.
   *
   * @param draw which; draws are independent of each other
   * @param channels at least 1
   * @param x the absolute column of its first value; may be negative, as may {@code y}
   * @param width at least 1, as {@code height}
   * @return channels, rows, columns; a fresh array
   */
  public float[] draw(int draw, int channels, int x, int y, int width, int height) {
    if (channels < 1 || width < 1 || height < 1) {
      throw new IllegalArgumentException(
          "Noise of "
              + channels
              + " channels x "
              + height
              + " x "
              + width
              + "; each must be at least 1");
    }
    if ((long) x + width > Integer.MAX_VALUE || (long) y + height > Integer.MAX_VALUE) {
      throw new IllegalArgumentException(
          "Noise at (" + x + ", " + y + ") that reaches beyond 2^31");
    }
    float[] values = new float[Math.multiplyExact(channels, Math.multiplyExact(width, height))];
    int[] words = new int[GROUP];
    float[] group = new float[GROUP];
    int at = 0;
    for (int channel = 0; channel < channels; channel++) {
      for (int row = y; row < y + height; row++) {
        for (int column = x; column < x + width; ) {
          words[0] = Math.floorDiv(column, GROUP);
          words[1] = row;
          words[2] = channel;
          words[3] = draw;
          Philox.permute(words, (int) seed, (int) (seed >>> 32));
          boxMuller(words[0], words[1], group, 0);
          boxMuller(words[2], words[3], group, 2);
          for (int i = Math.floorMod(column, GROUP); i < GROUP && column < x + width; i++) {
            values[at++] = group[i];
            column++;
          }
        }
      }
    }
    return values;
  }

  private static void boxMuller(int first, int second, float[] values, int at) {
    // Neither 0, of which there is no logarithm, nor 1.
    double uniform = (Integer.toUnsignedLong(first) + 0.5) * 0x1p-32;
    double radius = StrictMath.sqrt(-2 * StrictMath.log(uniform));
    double angle = TWO_PI * (Integer.toUnsignedLong(second) * 0x1p-32);
    values[at] = (float) (radius * StrictMath.cos(angle));
    values[at + 1] = (float) (radius * StrictMath.sin(angle));
  }
}
