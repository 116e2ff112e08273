/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

/**
 * The colors of a VP8 frame as libwebp makes them: chroma of half the size is interpolated between
 * the four samples around a pixel, nine, three, three and one sixteenths, then BT.601 of limited
 * range in integers.
 */
final class Vp8Colors {
  private Vp8Colors() {}

  /** Red, green and blue of each pixel, a byte each. */
  static byte[] rgb(Vp8Decoder.Frame frame) {
    int width = frame.width();
    int height = frame.height();
    byte[] rgb = new byte[Math.multiplyExact(3, Math.multiplyExact(width, height))];
    int[] u = new int[width];
    int[] v = new int[width];
    for (int y = 0; y < height; y++) {
      int last = (height + 1) / 2 - 1;
      int near = y / 2;
      int far = Math.max(0, Math.min(last, (y & 1) == 0 ? near - 1 : near + 1));
      interpolate(frame.u(), near, far, u);
      interpolate(frame.v(), near, far, v);
      int luma = frame.y().at(0, y);
      for (int x = 0; x < width; x++) {
        color(frame.y().get(luma + x), u[x], v[x], rgb, 3 * (y * width + x));
      }
    }
    return rgb;
  }

  /**
   * A row of chroma at full width.
   *
   * @param near row of samples that the pixels lie in
   * @param far the next one to it on the pixels' side
   */
  private static void interpolate(Vp8Plane plane, int near, int far, int[] out) {
    int width = out.length;
    int last = (width + 1) / 2 - 1;
    int nearRow = plane.at(0, near);
    int farRow = plane.at(0, far);
    for (int x = 0; x < width; x++) {
      int column = x / 2;
      int side = (x & 1) == 0 ? column - 1 : column + 1;
      int a = plane.get(nearRow + column);
      int c = plane.get(farRow + column);
      if (side < 0 || side > last) {
        out[x] = (3 * a + c + 2) >> 2;
        continue;
      }
      int b = plane.get(nearRow + side);
      int d = plane.get(farRow + side);
      // In two steps, each of which rounds: the mean of the nearest sample and of a diagonal.
      int diagonal = (a + b + c + d + 8 + 2 * (b + c)) >> 3;
      out[x] = (diagonal + a) >> 1;
    }
  }

  private static void color(int y, int u, int v, byte[] rgb, int at) {
    int luma = y * 19077 >> 8;
    rgb[at] = clip(luma + (v * 26149 >> 8) - 14234);
    rgb[at + 1] = clip(luma - (u * 6419 >> 8) - (v * 13320 >> 8) + 8708);
    rgb[at + 2] = clip(luma + (u * 33050 >> 8) - 17685);
  }

  private static byte clip(int value) {
    return (byte) Vp8Plane.clip(value >> 6);
  }
}
