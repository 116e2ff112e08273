/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import org.apache.flink.annotation.Internal;

/**
 * A part of a picture, in pixels from its upper left corner.
 *
 * @param x its first column
 * @param y its first row
 */
@Internal
public record Window(int x, int y, int width, int height) {

  public Window {
    if (x < 0 || y < 0 || width < 1 || height < 1) {
      throw new ImageException(
          "A window of %d x %d pixels at (%d, %d); it must begin inside and hold a pixel"
              .formatted(width, height, x, y));
    }
  }

  /** The column after its last. */
  public int right() {
    return Math.addExact(x, width);
  }

  /** The row after its last. */
  public int bottom() {
    return Math.addExact(y, height);
  }

  /** As seen in a picture enlarged by a factor. */
  public Window scaled(int factor) {
    return new Window(
        Math.multiplyExact(x, factor),
        Math.multiplyExact(y, factor),
        Math.multiplyExact(width, factor),
        Math.multiplyExact(height, factor));
  }

  void requireInside(int pictureWidth, int pictureHeight) {
    if ((long) x + width > pictureWidth || (long) y + height > pictureHeight) {
      throw new ImageException(
          "A window of %d x %d pixels at (%d, %d) reaches out of an image of %d x %d"
              .formatted(width, height, x, y, pictureWidth, pictureHeight));
    }
  }
}
