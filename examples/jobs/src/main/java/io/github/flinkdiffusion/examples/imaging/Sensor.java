/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import io.github.flinkdiffusion.ops.image.Raster;

/**
 * What a satellite with a quarter of the resolution would have seen: the scene under the sensor's
 * point spread function, a Gaussian whose transfer is {@value #TRANSFER_AT_NYQUIST} at the small
 * picture's Nyquist frequency (orbiting imagers are specified at 0.15 to 0.3), read at the centre
 * of each 4 x 4 block and rounded to 8 bits.
 */
final class Sensor {
  static final double TRANSFER_AT_NYQUIST = 0.2;
  private static final int FACTOR = MiniSatelliteModel.FACTOR;

  /** Twice the distance, in large pixels, at which the Gaussian is cut off. */
  private static final int TAPS = 20;

  private Sensor() {}

  /**
   * Deviation of the point spread function in large pixels: its transfer exp(-2 pi^2 s^2 f^2) is
   * the constant at f = 1/8 cycles a pixel.
   */
  static double deviation() {
    return 2 * FACTOR * Math.sqrt(-Math.log(TRANSFER_AT_NYQUIST) / 2) / Math.PI;
  }

  /** The small picture of a large one, 0..1, whose sides are multiples of 4. */
  static Raster look(Raster scene) {
    double[] kernel = kernel();
    int channels = scene.channels();
    int height = scene.height();
    int width = scene.width();
    int small = width / FACTOR;
    float[] rows = new float[channels * height * small];
    for (int row = 0; row < channels * height; row++) {
      for (int x = 0; x < small; x++) {
        double sum = 0;
        for (int k = 0; k < TAPS; k++) {
          int at = Math.min(width - 1, Math.max(0, first(x) + k));
          sum += kernel[k] * scene.data()[row * width + at];
        }
        rows[row * small + x] = (float) sum;
      }
    }
    int smallHeight = height / FACTOR;
    float[] seen = new float[channels * smallHeight * small];
    for (int c = 0; c < channels; c++) {
      for (int y = 0; y < smallHeight; y++) {
        for (int x = 0; x < small; x++) {
          double sum = 0;
          for (int k = 0; k < TAPS; k++) {
            int at = Math.min(height - 1, Math.max(0, first(y) + k));
            sum += kernel[k] * rows[(c * height + at) * small + x];
          }
          seen[(c * smallHeight + y) * small + x] = Math.round(255 * sum) / 255f;
        }
      }
    }
    return new Raster(channels, smallHeight, small, seen);
  }

  private static int first(int index) {
    return FACTOR * index - (TAPS - FACTOR) / 2;
  }

  private static double[] kernel() {
    double[] kernel = new double[TAPS];
    double sum = 0;
    for (int k = 0; k < TAPS; k++) {
      double distance = k - (TAPS - 1) / 2.0;
      kernel[k] = Math.exp(-distance * distance / (2 * deviation() * deviation()));
      sum += kernel[k];
    }
    for (int k = 0; k < TAPS; k++) {
      kernel[k] /= sum;
    }
    return kernel;
  }
}
