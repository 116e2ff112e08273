/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import org.apache.flink.annotation.Internal;

/**
 * Changes a picture's size without rounding, for values that are no 8-bit levels: Pillow's filters
 * ({@link PilResize.Filter}) over pixel centres, widened with the scale when the picture becomes
 * smaller, in floats. At the edges the filter is cut off and what is left of it made to sum to one.
 */
@Internal
public final class FloatResize {
  private FloatResize() {}

  /**
   * A picture of another size; values may overshoot where the filter does.
   *
   * @param height rows of the result
   * @param width pixels of a row of the result
   * @throws ImageException if a size is not positive
   */
  public static Raster resize(Raster picture, int height, int width, PilResize.Filter filter) {
    if (height < 1 || width < 1) {
      throw new ImageException(
          "Resizing %s to %d x %d; both must be at least 1".formatted(picture, height, width));
    }
    return resize(
        picture,
        Kernel.of(picture.width(), width, filter, true),
        Kernel.of(picture.height(), height, filter, true));
  }

  /**
   * A picture of another size whose pixels are each between four of the source, never the mean of
   * more: torch's bilinear interpolation without antialiasing.
   *
   * @param height rows of the result, from 1
   * @param width pixels of a row of the result, from 1
   */
  public static Raster interpolate(Raster picture, int height, int width) {
    return resize(
        picture,
        Kernel.of(picture.width(), width, PilResize.Filter.BILINEAR, false),
        Kernel.of(picture.height(), height, PilResize.Filter.BILINEAR, false));
  }

  private static Raster resize(Raster picture, Kernel across, Kernel down) {
    int channels = picture.channels();
    int width = across.begins().length;
    int height = down.begins().length;
    float[] rows = new float[channels * picture.height() * width];
    for (int row = 0; row < channels * picture.height(); row++) {
      across.apply(picture.data(), row * picture.width(), 1, rows, row * width, 1);
    }
    float[] result = new float[Math.multiplyExact(channels, Math.multiplyExact(height, width))];
    for (int c = 0; c < channels; c++) {
      for (int x = 0; x < width; x++) {
        down.apply(
            rows, c * picture.height() * width + x, width, result, c * height * width + x, width);
      }
    }
    return new Raster(channels, height, width, result);
  }

  /** For each target pixel of a line, where its source pixels begin and their weights. */
  private record Kernel(int[] begins, float[][] weights) {
    /**
     * @param widened whether a smaller picture's pixels are made of all that they cover
     */
    static Kernel of(int sourceSize, int targetSize, PilResize.Filter filter, boolean widened) {
      double scale = (double) sourceSize / targetSize;
      double stretch = widened ? Math.max(1, scale) : 1;
      double support = filter.support() * stretch;
      int[] begins = new int[targetSize];
      float[][] weights = new float[targetSize][];
      for (int i = 0; i < targetSize; i++) {
        double center = (i + 0.5) * scale;
        int begin = Math.max(0, (int) (center - support + 0.5));
        int end = Math.min(sourceSize, (int) (center + support + 0.5));
        double[] exact = new double[end - begin];
        double sum = 0;
        for (int k = 0; k < exact.length; k++) {
          exact[k] = filter.weight((k + begin - center + 0.5) / stretch);
          sum += exact[k];
        }
        begins[i] = begin;
        weights[i] = new float[exact.length];
        for (int k = 0; k < exact.length; k++) {
          weights[i][k] = (float) (exact[k] / sum);
        }
      }
      return new Kernel(begins, weights);
    }

    void apply(
        float[] source, int from, int sourceStride, float[] target, int to, int targetStride) {
      for (int i = 0; i < begins.length; i++) {
        float sum = 0;
        int at = from + begins[i] * sourceStride;
        for (float weight : weights[i]) {
          sum += weight * source[at];
          at += sourceStride;
        }
        target[to + i * targetStride] = sum;
      }
    }
  }
}
