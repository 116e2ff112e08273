/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.pipeline.ClassMap;
import org.apache.flink.annotation.Internal;

/**
 * The class of every pixel, decided by the shares that its classes have, see {@link
 * ClassMap#shares}: of one sample, or the mean of an ensemble's. Each pixel is decided by itself,
 * so rows of a large picture can be decided as they come.
 *
 * @param classes the class with the greatest share, the first of equal ones; of two classes, class
 *     1 where its share is one half or more
 * @param score one channel: the share of that class, 0..1
 */
@Internal
public record Decision(ClassRaster classes, Raster score) {

  /**
   * @param shares of {@link ClassMap#shareChannels} channels; what is below 0 counts as 0, and sums
   *     that are not 1 are made 1
   */
  public static Decision of(ClassMap map, Raster shares) {
    if (shares.channels() != map.shareChannels()) {
      throw new IllegalArgumentException(
          "%s has not the %d channels of shares of %d classes"
              .formatted(shares, map.shareChannels(), map.classes()));
    }
    int plane = shares.height() * shares.width();
    byte[] numbers = new byte[plane];
    float[] score = new float[plane];
    double[] p = new double[map.classes()];
    for (int i = 0; i < plane; i++) {
      read(map, shares.data(), plane, i, p);
      int best = 0;
      for (int number = 0; number < p.length; number++) {
        if (p[number] > p[best]) {
          best = number;
        }
      }
      if (map.encoding() == ClassMap.Encoding.BINARY) {
        best = p[1] >= 0.5 ? 1 : 0;
      }
      numbers[i] = (byte) best;
      score[i] = (float) p[best];
    }
    return new Decision(
        new ClassRaster(shares.width(), shares.height(), numbers), measurement(shares, score));
  }

  /** One pixel's shares, with a sum of 1. */
  private static void read(ClassMap map, float[] shares, int plane, int pixel, double[] p) {
    if (map.encoding() == ClassMap.Encoding.BINARY) {
      p[1] = Math.min(1, Math.max(0, shares[pixel]));
      p[0] = 1 - p[1];
      return;
    }
    double sum = 0;
    for (int number = 0; number < p.length; number++) {
      p[number] = Math.max(0, shares[number * plane + pixel]);
      sum += p[number];
    }
    for (int number = 0; number < p.length; number++) {
      p[number] = sum > 0 ? p[number] / sum : 1.0 / p.length;
    }
  }

  private static Raster measurement(Raster like, float[] values) {
    return new Raster(
        1,
        like.height(),
        like.width(),
        values,
        PixelFormat.of(Bands.GRAY, SampleType.FLOAT32),
        ImageMetadata.NONE);
  }
}
