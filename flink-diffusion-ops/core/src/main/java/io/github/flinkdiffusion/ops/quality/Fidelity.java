/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import io.github.flinkdiffusion.ops.image.Raster;
import org.apache.flink.annotation.Internal;

/**
 * How near a picture is to the true one. Both are rasters of one size, and a difference of 1, from
 * black to white, is the whole range. Samples that hold no data in one of them do not count.
 */
@Internal
public final class Fidelity {
  private static final int WINDOW = 11;
  private static final double SIGMA = 1.5;
  private static final double K1 = 0.01;
  private static final double K2 = 0.03;

  private Fidelity() {}

  /** The mean of the squared differences over all pixels and channels. */
  public static double meanSquaredError(Raster picture, Raster truth) {
    requireSameSize(picture, truth);
    float[] a = picture.data();
    float[] b = truth.data();
    double sum = 0;
    int count = 0;
    for (int i = 0; i < a.length; i++) {
      if (isMissing(picture, i) || isMissing(truth, i)) {
        continue;
      }
      double difference = (double) a[i] - b[i];
      sum += difference * difference;
      count++;
    }
    if (count == 0) {
      throw new QualityException(
          "%s and %s hold no data at any common place".formatted(picture, truth));
    }
    return sum / count;
  }

  private static boolean isMissing(Raster raster, int index) {
    return raster.noData().isPresent() && raster.noData().get().isMissing(index);
  }

  /** Peak signal-to-noise ratio in decibels; infinite for equal pictures. */
  public static double psnr(Raster picture, Raster truth) {
    return -10 * Math.log10(meanSquaredError(picture, truth));
  }

  /**
   * Structural similarity, 1 for equal pictures: Gaussian windows of 11 x 11 pixels with a sigma of
   * 1.5, K1 = 0.01, K2 = 0.03, the mean over all windows that lie inside and over the channels.
   * After Z. Wang, A. C. Bovik, H. R. Sheikh and E. P. Simoncelli, "Image quality assessment: from
   * error visibility to structural similarity", IEEE Trans. Image Processing 13(4), 2004.
   *
   * @throws QualityException if the sizes differ or a side has fewer than 11 pixels
   */
  public static double ssim(Raster picture, Raster truth) {
    requireSameSize(picture, truth);
    int height = picture.height();
    int width = picture.width();
    if (height < WINDOW || width < WINDOW) {
      throw new QualityException(
          "Structural similarity of %s; %d pixels a side are needed".formatted(picture, WINDOW));
    }
    double sum = 0;
    int windows = 0;
    int pixels = height * width;
    double[] missing = new double[pixels];
    double[] a = new double[pixels];
    double[] b = new double[pixels];
    for (int c = 0; c < picture.channels(); c++) {
      for (int i = 0; i < pixels; i++) {
        a[i] = picture.data()[c * pixels + i];
        b[i] = truth.data()[c * pixels + i];
        missing[i] = isMissing(picture, c * pixels + i) || isMissing(truth, c * pixels + i) ? 1 : 0;
      }
      double[] similar = ssim(a, b, width, height);
      // A window that holds any sample without data says nothing.
      double[] without = blurred(missing, width, height);
      for (int i = 0; i < similar.length; i++) {
        if (without[i] == 0) {
          sum += similar[i];
          windows++;
        }
      }
    }
    if (windows == 0) {
      throw new QualityException(
          "%s and %s have no window of %d x %d pixels in which both hold data"
              .formatted(picture, truth, WINDOW, WINDOW));
    }
    return sum / windows;
  }

  private static double[] ssim(double[] a, double[] b, int width, int height) {
    double[] meanA = blurred(a, width, height);
    double[] meanB = blurred(b, width, height);
    double[] meanAa = blurred(product(a, a), width, height);
    double[] meanBb = blurred(product(b, b), width, height);
    double[] meanAb = blurred(product(a, b), width, height);
    double c1 = K1 * K1;
    double c2 = K2 * K2;
    double[] similar = new double[meanA.length];
    for (int i = 0; i < meanA.length; i++) {
      double product = meanA[i] * meanB[i];
      double squares = meanA[i] * meanA[i] + meanB[i] * meanB[i];
      double covariance = meanAb[i] - product;
      double variances = meanAa[i] + meanBb[i] - squares;
      similar[i] = (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2));
    }
    return similar;
  }

  private static double[] product(double[] a, double[] b) {
    double[] product = new double[a.length];
    for (int i = 0; i < a.length; i++) {
      product[i] = a[i] * b[i];
    }
    return product;
  }

  /** Means over the window around each pixel that has a whole one: rows first, then columns. */
  private static double[] blurred(double[] values, int width, int height) {
    double[] kernel = gaussian();
    int innerWidth = width - WINDOW + 1;
    int innerHeight = height - WINDOW + 1;
    double[] rows = new double[innerWidth * height];
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < innerWidth; x++) {
        double sum = 0;
        for (int k = 0; k < WINDOW; k++) {
          sum += kernel[k] * values[y * width + x + k];
        }
        rows[y * innerWidth + x] = sum;
      }
    }
    double[] blurred = new double[innerWidth * innerHeight];
    for (int y = 0; y < innerHeight; y++) {
      for (int k = 0; k < WINDOW; k++) {
        for (int x = 0; x < innerWidth; x++) {
          blurred[y * innerWidth + x] += kernel[k] * rows[(y + k) * innerWidth + x];
        }
      }
    }
    return blurred;
  }

  private static double[] gaussian() {
    double[] kernel = new double[WINDOW];
    double sum = 0;
    for (int i = 0; i < WINDOW; i++) {
      double distance = i - WINDOW / 2;
      kernel[i] = Math.exp(-distance * distance / (2 * SIGMA * SIGMA));
      sum += kernel[i];
    }
    for (int i = 0; i < WINDOW; i++) {
      kernel[i] /= sum;
    }
    return kernel;
  }

  private static void requireSameSize(Raster picture, Raster truth) {
    if (picture.channels() != truth.channels()
        || picture.height() != truth.height()
        || picture.width() != truth.width()) {
      throw new QualityException(
          "%s is compared with %s; the same size is needed".formatted(picture, truth));
    }
  }
}
