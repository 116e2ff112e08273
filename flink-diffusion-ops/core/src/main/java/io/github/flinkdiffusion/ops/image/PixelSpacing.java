/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import org.apache.flink.annotation.Internal;

/**
 * How far apart pixels' centers are.
 *
 * @param x millimetres from a pixel to the next of its row
 * @param y millimetres from a row to the next
 */
@Internal
public record PixelSpacing(double x, double y) {

  public PixelSpacing {
    if (!(x > 0 && y > 0 && x < Double.POSITIVE_INFINITY && y < Double.POSITIVE_INFINITY)) {
      throw new ImageException(
          "A pixel spacing of %s x %s mm; both must be above 0".formatted(x, y));
    }
  }

  /** As after enlarging the picture by these factors. */
  PixelSpacing scaled(double factorX, double factorY) {
    return new PixelSpacing(x / factorX, y / factorY);
  }
}
