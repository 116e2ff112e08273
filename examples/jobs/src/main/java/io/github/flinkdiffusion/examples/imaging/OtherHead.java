/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import io.github.flinkdiffusion.ops.image.Raster;
import java.util.random.RandomGenerator;

/**
 * How a slice is made to look like another person's in another scanner, of which only one head is
 * there to learn: longer or broader, bent, with a scalp of another brightness, blurred as by thick
 * slices, cut off where the scan ended. {@link SliceVariation} then shows it in another position
 * and light.
 *
 * @param broader factor of the width
 * @param longer factor of the height
 * @param bend greatest displacement, in pixels of the slice
 * @param phase of the bend, in radians
 * @param waves of the bend in a side
 * @param rim factor of the brightness outside the brain
 * @param tissue what is added to a middle brightness, less to dark and bright ones
 * @param blurX times that a row is blurred by 1-2-1
 * @param blurY times that a column is
 * @param cutTop share of the rows, from the top, that the scan does not have
 * @param cutBottom share of the rows, from the bottom
 */
record OtherHead(
    double broader,
    double longer,
    double bend,
    double phase,
    double waves,
    double rim,
    double tissue,
    int blurX,
    int blurY,
    double cutTop,
    double cutBottom) {
  private static final double CUT_SHARE = 0.25;
  private static final double BLUR_SHARE = 0.4;

  static OtherHead draw(RandomGenerator random) {
    boolean blurred = random.nextDouble() < BLUR_SHARE;
    return new OtherHead(
        Math.exp(0.12 * signed(random)),
        Math.exp(0.12 * signed(random)),
        7 * random.nextDouble(),
        2 * Math.PI * random.nextDouble(),
        0.5 + 1.5 * random.nextDouble(),
        Math.exp(-0.5 + 1.5 * random.nextDouble()),
        0.15 * signed(random),
        blurred ? random.nextInt(5) : 0,
        blurred ? random.nextInt(9) : 0,
        random.nextDouble() < CUT_SHARE ? 0.2 * random.nextDouble() : 0,
        random.nextDouble() < CUT_SHARE ? 0.12 * random.nextDouble() : 0);
  }

  private static double signed(RandomGenerator random) {
    return 2 * random.nextDouble() - 1;
  }

  SliceVariation.Pair apply(Raster slice, Raster mask) {
    int height = slice.height();
    int width = slice.width();
    float[] seen = new float[height * width];
    float[] truth = new float[height * width];
    int top = (int) (cutTop * height);
    int bottom = height - (int) (cutBottom * height);
    for (int y = top; y < bottom; y++) {
      double v = (double) y / height - 0.5;
      for (int x = 0; x < width; x++) {
        double u = (double) x / width - 0.5;
        double angle = 2 * Math.PI * waves;
        double sourceX = width * (u / broader + 0.5) + bend * Math.sin(angle * v + phase);
        double sourceY = height * (v / longer + 0.5) + bend * Math.sin(angle * u + 2 * phase);
        double inside = SliceVariation.bilinear(mask, sourceX, sourceY);
        double value = SliceVariation.bilinear(slice, sourceX, sourceY);
        value *= inside + (1 - inside) * rim;
        value = Math.min(1, value);
        value += tissue * Math.sin(Math.PI * value);
        seen[y * width + x] = (float) Math.max(0, value);
        truth[y * width + x] = (float) inside;
      }
    }
    for (int i = 0; i < blurX; i++) {
      blur(seen, width, 1);
    }
    for (int i = 0; i < blurY; i++) {
      blur(seen, width, width);
    }
    return new SliceVariation.Pair(
        new Raster(1, height, width, seen), new Raster(1, height, width, truth));
  }

  /** A 1-2-1 mean along rows (step 1) or columns (step width); the picture's ends stay. */
  private static void blur(float[] values, int width, int step) {
    float[] before = values.clone();
    for (int i = width; i < values.length - width; i++) {
      values[i] = (before[i - step] + 2 * before[i] + before[i + step]) / 4;
    }
  }
}
