/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.evaluation;

import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Raster;

/**
 * Pictures as files of 8 bits and three colors have them, which is what networks were trained on.
 */
final class Levels {
  static final int CHANNELS = 3;
  private static final int MOST_CHANNELS = 4;
  private static final float WHITE = 255;

  private Levels() {}

  /**
   * A picture's levels, 0 to 255, [3,height,width]: gray is taken for all three colors, and opacity
   * is left out.
   *
   * @throws ImageException for a picture of more than 4 channels
   */
  static float[] of(Raster picture) {
    if (picture.channels() > MOST_CHANNELS) {
      throw new ImageException(
          "Measuring an image of %d channels; supported: 1 to %d"
              .formatted(picture.channels(), MOST_CHANNELS));
    }
    int pixels = picture.height() * picture.width();
    float[] levels = new float[CHANNELS * pixels];
    for (int c = 0; c < CHANNELS; c++) {
      int from = picture.channels() < CHANNELS ? 0 : c;
      for (int i = 0; i < pixels; i++) {
        float value = picture.data()[from * pixels + i];
        levels[c * pixels + i] = (float) Math.rint(Math.min(Math.max(value, 0), 1) * WHITE);
      }
    }
    return levels;
  }
}
