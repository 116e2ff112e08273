/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training.data;

import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import java.util.Arrays;

/**
 * 64 bits |= values[i] > median + ROUNDING ? 1L << i : 0;that are nearly the same for images that
 * look nearly the same: which of the lowest frequencies of the brightness are above their median
 * (pHash's DCT hash, Zauner 2010). The number of bits that differ is the distance: scaled or
 * recompressed copies are mostly within 6, unrelated images about 32.
 *
 * <p>Not from a library: those there are take AWT's images, and the images here are rasters of any
 * number of channels, from DICOM and GeoTIFF, too.
 */
record PerceptualHash(long bits) {
  private static final int SIDE = 32;
  private static final int FREQUENCIES = 8;

  /** Coefficients of a plain image are not exactly 0. */
  private static final double ROUNDING = 1e-4;

  static PerceptualHash of(Raster image) {
    double[] gray = gray(PilResize.resize(image, SIDE, SIDE, PilResize.Filter.BOX));
    double[] values = new double[FREQUENCIES * FREQUENCIES];
    for (int v = 0; v < FREQUENCIES; v++) {
      for (int u = 0; u < FREQUENCIES; u++) {
        values[v * FREQUENCIES + u] = coefficient(gray, u, v);
      }
    }
    // Without the mean brightness, which is not what an image shows.
    double[] sorted = Arrays.copyOfRange(values, 1, values.length);
    Arrays.sort(sorted);
    double median = sorted[sorted.length / 2];
    long bits = 0;
    for (int i = 1; i < values.length; i++) {
      bits |= values[i] > median ? 1L << i : 0;
    }
    return new PerceptualHash(bits);
  }

  private static double[] gray(Raster image) {
    double[] gray = new double[SIDE * SIDE];
    int channels = image.channels() >= 3 ? 3 : 1;
    for (int i = 0; i < gray.length; i++) {
      for (int c = 0; c < channels; c++) {
        gray[i] += image.at(c, i / SIDE, i % SIDE) / channels;
      }
    }
    return gray;
  }

  private static double coefficient(double[] gray, int u, int v) {
    double sum = 0;
    for (int y = 0; y < SIDE; y++) {
      double down = Math.cos(Math.PI * (2 * y + 1) * v / (2 * SIDE));
      for (int x = 0; x < SIDE; x++) {
        sum += gray[y * SIDE + x] * down * Math.cos(Math.PI * (2 * x + 1) * u / (2 * SIDE));
      }
    }
    return sum;
  }

  /** Bits that differ, 0 to 64. */
  int distance(PerceptualHash other) {
    return Long.bitCount(bits ^ other.bits);
  }
}
