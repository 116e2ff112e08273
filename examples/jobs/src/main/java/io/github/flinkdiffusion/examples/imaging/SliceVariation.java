/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import io.github.flinkdiffusion.ops.image.Raster;
import java.util.random.RandomGenerator;

/**
 * How one slice is shown: turned, scaled, moved and mirrored; brighter or darker, with another
 * contrast, an uneven coil and noise.
 *
 * @param angle in radians
 * @param scale above 1 enlarges
 * @param right share of the width by which it is moved
 * @param down share of the height by which it is moved
 * @param mirrored left is right
 * @param gain factor of the brightness
 * @param gamma exponent of the brightness
 * @param slopeX relative brightness gained from left to right
 * @param slopeY relative brightness gained from top to bottom
 * @param noise deviation of the Gaussian noise; pictures are 0..1
 */
record SliceVariation(
    double angle,
    double scale,
    double right,
    double down,
    boolean mirrored,
    double gain,
    double gamma,
    double slopeX,
    double slopeY,
    double noise) {

  /** As it is. */
  static final SliceVariation NONE = new SliceVariation(0, 1, 0, 0, false, 1, 1, 0, 0, 0);

  /** Samples a side within a pixel: the network sees half the scan's resolution. */
  private static final int OVERSAMPLING = 2;

  static SliceVariation draw(RandomGenerator random) {
    return new SliceVariation(
        Math.toRadians(25) * signed(random),
        Math.exp(0.22 * signed(random)),
        0.08 * signed(random),
        0.08 * signed(random),
        random.nextBoolean(),
        Math.exp(0.7 * signed(random)),
        Math.exp(0.5 * signed(random)),
        0.9 * signed(random),
        0.9 * signed(random),
        0.06 * random.nextDouble() * random.nextDouble());
  }

  private static double signed(RandomGenerator random) {
    return 2 * random.nextDouble() - 1;
  }

  /** A picture of the slice and its mask, of the given size. */
  record Pair(Raster slice, Raster mask) {}

  Pair apply(Raster slice, Raster mask, int height, int width, RandomGenerator random) {
    float[] seen = new float[height * width];
    float[] truth = new float[height * width];
    double cos = Math.cos(angle) / scale;
    double sin = Math.sin(angle) / scale;
    double perColumn = (double) slice.width() / width;
    double perRow = (double) slice.height() / height;
    int samples = OVERSAMPLING * OVERSAMPLING;
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        double brightness = 0;
        double inside = 0;
        for (int s = 0; s < samples; s++) {
          double u = (x + (s % OVERSAMPLING + 0.5) / OVERSAMPLING) / width - 0.5 - right;
          double v = (y + (s / OVERSAMPLING + 0.5) / OVERSAMPLING) / height - 0.5 - down;
          double px = u * width * perColumn * (mirrored ? -1 : 1);
          double py = v * height * perRow;
          double sourceX = cos * px + sin * py + slice.width() / 2.0 - 0.5;
          double sourceY = -sin * px + cos * py + slice.height() / 2.0 - 0.5;
          brightness += bilinear(slice, sourceX, sourceY);
          inside += bilinear(mask, sourceX, sourceY);
        }
        double coil =
            1 + slopeX * ((double) x / width - 0.5) + slopeY * ((double) y / height - 0.5);
        double value = gain * coil * Math.pow(brightness / samples, gamma);
        value += noise == 0 ? 0 : noise * random.nextGaussian();
        seen[y * width + x] = (float) Math.max(0, Math.min(1, value));
        truth[y * width + x] = (float) (inside / samples);
      }
    }
    return new Pair(new Raster(1, height, width, seen), new Raster(1, height, width, truth));
  }

  /** 0 outside. */
  static double bilinear(Raster picture, double x, double y) {
    int left = (int) Math.floor(x);
    int top = (int) Math.floor(y);
    double fx = x - left;
    double fy = y - top;
    return (1 - fy) * ((1 - fx) * at(picture, left, top) + fx * at(picture, left + 1, top))
        + fy * ((1 - fx) * at(picture, left, top + 1) + fx * at(picture, left + 1, top + 1));
  }

  private static float at(Raster picture, int x, int y) {
    return x < 0 || y < 0 || x >= picture.width() || y >= picture.height()
        ? 0
        : picture.at(0, y, x);
  }
}
