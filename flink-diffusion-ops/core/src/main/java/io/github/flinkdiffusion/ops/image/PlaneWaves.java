/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

/**
 * The plane waves that a {@link SpreadWatermark} is made of: their sum, and a picture's product
 * with each of them.
 *
 * <p>Waves are numbers of {@code [v][u + F]}: v from 0 to {@link #F} down the picture, u from -F to
 * F across it.
 */
final class PlaneWaves {
  /** Pixels of a period of the mark. */
  static final int PERIOD = 128;

  /** Waves whose distance from frequency 0, in waves a period, is between these. */
  static final double LOWEST = 5.0;

  static final double HIGHEST = 21.5;

  /** Largest whole frequency. */
  static final int F = 21;

  private PlaneWaves() {}

  /**
   * Real part of the sum of waves at {@code count} x {@code count} places of one period, rows
   * first.
   *
   * @param begin of the first place, in steps
   */
  static float[] samples(double[][] real, double[][] imaginary, int count, double begin) {
    double[][] cos = new double[F + 1][count];
    double[][] sin = new double[F + 1][count];
    angles(cos, sin, begin, (double) PERIOD / count);
    double[][] rowReal = new double[count][2 * F + 1];
    double[][] rowImaginary = new double[count][2 * F + 1];
    for (int y = 0; y < count; y++) {
      for (int v = 0; v <= F; v++) {
        double c = cos[v][y];
        double s = sin[v][y];
        for (int u = 0; u <= 2 * F; u++) {
          rowReal[y][u] += c * real[v][u] - s * imaginary[v][u];
          rowImaginary[y][u] += c * imaginary[v][u] + s * real[v][u];
        }
      }
    }
    float[] samples = new float[count * count];
    for (int y = 0; y < count; y++) {
      for (int u = 0; u <= F; u++) {
        // cos(-a) = cos(a) and sin(-a) = -sin(a): u and -u together.
        double even = rowReal[y][F + u] + (u == 0 ? 0 : rowReal[y][F - u]);
        double odd = rowImaginary[y][F + u] - (u == 0 ? 0 : rowImaginary[y][F - u]);
        for (int x = 0; x < count; x++) {
          samples[y * count + x] += (float) (cos[u][x] * even - sin[u][x] * odd);
        }
      }
    }
    return samples;
  }

  /** Of frequencies 0 to {@link #F} at places {@code (i + begin) * step}, in pixels. */
  private static void angles(double[][] cos, double[][] sin, double begin, double step) {
    for (int f = 0; f < cos.length; f++) {
      for (int i = 0; i < cos[f].length; i++) {
        double angle = 2 * Math.PI * f * ((i + begin) * step % PERIOD) / PERIOD;
        cos[f][i] = StrictMath.cos(angle);
        sin[f][i] = StrictMath.sin(angle);
      }
    }
  }

  /**
   * The whitened picture's product with each wave, in row 2 v the real and in row 2 v + 1 the
   * imaginary parts. Frequencies of like distance from 0 have like power, and none stands out.
   *
   * @param scale of the picture, of that at which it was marked
   */
  static double[][] spectrum(LumaPlane luma, double scale) {
    int height = luma.height();
    int width = luma.width();
    float[] white = luma.whitened(scale);
    if (scale == 1) {
      float[] folded = new float[PERIOD * PERIOD];
      for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
          folded[y % PERIOD * PERIOD + x % PERIOD] += white[y * width + x];
        }
      }
      return evened(products(folded, PERIOD, PERIOD, 1));
    }
    return evened(products(white, height, width, scale));
  }

  private static double[][] products(float[] values, int height, int width, double scale) {
    double[][] cos = new double[F + 1][Math.max(height, width)];
    double[][] sin = new double[F + 1][Math.max(height, width)];
    angles(cos, sin, 0.5, 1 / scale);
    double[][] products = new double[2 * F + 2][2 * F + 1];
    double[] rowReal = new double[2 * F + 1];
    double[] rowImaginary = new double[2 * F + 1];
    for (int y = 0; y < height; y++) {
      for (int u = 0; u <= F; u++) {
        double real = 0;
        double imaginary = 0;
        for (int x = 0; x < width; x++) {
          float value = values[y * width + x];
          real += value * cos[u][x];
          imaginary -= value * sin[u][x];
        }
        rowReal[F + u] = real;
        rowReal[F - u] = real;
        rowImaginary[F + u] = imaginary;
        rowImaginary[F - u] = u == 0 ? imaginary : -imaginary;
      }
      for (int v = 0; v <= F; v++) {
        double c = cos[v][y];
        double s = sin[v][y];
        double[] real = products[2 * v];
        double[] imaginary = products[2 * v + 1];
        for (int u = 0; u <= 2 * F; u++) {
          real[u] += c * rowReal[u] + s * rowImaginary[u];
          imaginary[u] += c * rowImaginary[u] - s * rowReal[u];
        }
      }
    }
    return products;
  }

  private static double[][] evened(double[][] spectrum) {
    int rings = 8;
    double[] power = new double[rings];
    int[] count = new int[rings];
    for (int v = 0; v <= F; v++) {
      for (int u = -F; u <= F; u++) {
        int ring = ring(u, v, rings);
        if (ring >= 0) {
          power[ring] += square(spectrum, u, v);
          count[ring]++;
        }
      }
    }
    double[][] evened = new double[spectrum.length][2 * F + 1];
    for (int v = 0; v <= F; v++) {
      for (int u = -F; u <= F; u++) {
        int ring = ring(u, v, rings);
        if (ring >= 0 && power[ring] > 0) {
          double divisor = Math.sqrt(power[ring] / count[ring]);
          divisor *= Math.max(1, Math.sqrt(square(spectrum, u, v)) / divisor / 1.5);
          evened[2 * v][u + F] = spectrum[2 * v][u + F] / divisor;
          evened[2 * v + 1][u + F] = spectrum[2 * v + 1][u + F] / divisor;
        }
      }
    }
    return evened;
  }

  private static double square(double[][] spectrum, int u, int v) {
    double a = spectrum[2 * v][u + F];
    double b = spectrum[2 * v + 1][u + F];
    return a * a + b * b;
  }

  private static int ring(int u, int v, int rings) {
    double place = (Math.sqrt(u * u + v * v) - LOWEST) / (HIGHEST - LOWEST) * rings;
    return place < 0 || place >= rings ? -1 : (int) place;
  }
}
