/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import io.github.flinkdiffusion.ops.image.Raster;
import java.util.OptionalDouble;
import org.apache.flink.annotation.Internal;

/** How much results of a stream of frames change where the frames do not. */
@Internal
public final class Flicker {

  private Flicker() {}

  /**
   * Mean absolute difference of two successive results over those pixels whose input did not
   * change. It is the warping error of Lai et al. 2018 ("Learning Blind Video Temporal
   * Consistency", ECCV) for pixels at rest, where the optical flow is zero and need not be
   * estimated; here without the square.
   *
   * @param before the frame before
   * @param result of the frame; its sides are whole multiples of the frame's
   * @return in the unit of the values, so 0 to 1; empty where every pixel changed
   * @throws QualityException when sizes do not fit
   */
  public static OptionalDouble of(Raster before, Raster frame, Raster resultBefore, Raster result) {
    requireSame(before, frame);
    requireSame(resultBefore, result);
    int scale = result.width() / frame.width();
    if (scale < 1
        || result.width() != scale * frame.width()
        || result.height() != scale * frame.height()) {
      throw new QualityException(
          "Flicker of %s for frame %s: the result's sides must be multiples of the frame's"
              .formatted(result, frame));
    }
    double sum = 0;
    long values = 0;
    for (int y = 0; y < frame.height(); y++) {
      for (int x = 0; x < frame.width(); x++) {
        if (isAtRest(before, frame, y, x)) {
          for (int c = 0; c < result.channels(); c++) {
            for (int i = 0; i < scale * scale; i++) {
              int row = y * scale + i / scale;
              int column = x * scale + i % scale;
              sum += Math.abs((double) result.at(c, row, column) - resultBefore.at(c, row, column));
              values++;
            }
          }
        }
      }
    }
    return values == 0 ? OptionalDouble.empty() : OptionalDouble.of(sum / values);
  }

  private static boolean isAtRest(Raster before, Raster frame, int y, int x) {
    for (int c = 0; c < frame.channels(); c++) {
      if (before.at(c, y, x) != frame.at(c, y, x)) {
        return false;
      }
    }
    return true;
  }

  private static void requireSame(Raster first, Raster second) {
    if (first.channels() != second.channels()
        || first.height() != second.height()
        || first.width() != second.width()) {
      throw new QualityException(
          "Flicker of %s and %s: images of one stream have one size".formatted(first, second));
    }
  }
}
