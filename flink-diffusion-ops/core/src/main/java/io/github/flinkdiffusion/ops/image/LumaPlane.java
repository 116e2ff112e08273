/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

/**
 * A picture's luma, in levels of 255: what a watermark is read from, and what says how much of one
 * the picture hides.
 */
record LumaPlane(float[] values, int height, int width) {

  /**
   * @param data red, green and blue in 0..1, one after the other
   */
  static LumaPlane of(float[] data, int height, int width) {
    int pixels = height * width;
    float[] luma = new float[pixels];
    for (int i = 0; i < pixels; i++) {
      luma[i] =
          255 * (0.299f * data[i] + 0.587f * data[pixels + i] + 0.114f * data[2 * pixels + i]);
    }
    return new LumaPlane(luma, height, width);
  }

  /** The part around the middle of at most so many pixels a side. */
  LumaPlane middle(int most) {
    int rows = Math.min(height, most);
    int columns = Math.min(width, most);
    if (rows == height && columns == width) {
      return this;
    }
    float[] part = new float[rows * columns];
    int left = (width - columns) / 2;
    for (int y = 0; y < rows; y++) {
      int from = ((height - rows) / 2 + y) * width + left;
      System.arraycopy(values, from, part, y * columns, columns);
    }
    return new LumaPlane(part, rows, columns);
  }

  /** Weights of a mark: more where the picture hides it. */
  float[] mask() {
    float[] blurred = box(values, height, width, 4);
    float[] squares = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      float difference = values[i] - blurred[i];
      squares[i] = difference * difference;
    }
    float[] activity = box(squares, height, width, 8);
    for (int i = 0; i < activity.length; i++) {
      double deviation = Math.sqrt(Math.max(0, activity[i]));
      activity[i] = (float) Math.sqrt(Math.max(2, Math.min(12, deviation)));
    }
    return box(activity, height, width, 4);
  }

  /** Without the low frequencies, and with like deviation everywhere; -1..1. */
  float[] whitened(double scale) {
    int radius = Math.max(2, (int) Math.round(6 * scale));
    float[] low = box(box(values, height, width, radius), height, width, radius);
    float[] high = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      high[i] = values[i] - low[i];
    }
    if (scale > 0.7) {
      high = box(high, height, width, 1);
    }
    float[] squares = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      squares[i] = high[i] * high[i];
    }
    float[] power = box(squares, height, width, Math.max(4, (int) Math.round(16 * scale)));
    for (int i = 0; i < values.length; i++) {
      float deviation = (float) Math.sqrt(Math.max(0, power[i]) + 4);
      high[i] = Math.max(-1, Math.min(1, high[i] / deviation));
    }
    return high;
  }

  /** Mean of a square of {@code 2 radius + 1}; beyond the border its pixels are repeated. */
  private static float[] box(float[] values, int height, int width, int radius) {
    float[] rows = new float[values.length];
    double size = 2 * radius + 1;
    for (int y = 0; y < height; y++) {
      int row = y * width;
      double sum = 0;
      for (int i = -radius; i <= radius; i++) {
        sum += values[row + Math.max(0, Math.min(width - 1, i))];
      }
      for (int x = 0; x < width; x++) {
        rows[row + x] = (float) (sum / size);
        sum +=
            values[row + Math.min(width - 1, x + radius + 1)]
                - values[row + Math.max(0, x - radius)];
      }
    }
    float[] means = new float[values.length];
    double[] sums = new double[width];
    for (int i = -radius; i <= radius; i++) {
      int row = Math.max(0, Math.min(height - 1, i)) * width;
      for (int x = 0; x < width; x++) {
        sums[x] += rows[row + x];
      }
    }
    for (int y = 0; y < height; y++) {
      int added = Math.min(height - 1, y + radius + 1) * width;
      int removed = Math.max(0, y - radius) * width;
      for (int x = 0; x < width; x++) {
        means[y * width + x] = (float) (sums[x] / size);
        sums[x] += rows[added + x] - rows[removed + x];
      }
    }
    return means;
  }
}
