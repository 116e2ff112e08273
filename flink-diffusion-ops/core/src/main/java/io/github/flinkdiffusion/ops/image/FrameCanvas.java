/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.Arrays;

/** What a viewer of an animation shows: color and opacity, clear at first. */
final class FrameCanvas {
  private final int width;
  private final int height;
  private final float[] data;

  FrameCanvas(int width, int height) {
    this.width = width;
    this.height = height;
    this.data = new float[4 * width * height];
  }

  private FrameCanvas(FrameCanvas other) {
    width = other.width;
    height = other.height;
    data = other.data.clone();
  }

  FrameCanvas copy() {
    return new FrameCanvas(this);
  }

  /**
   * Puts a part on it.
   *
   * @param over whether what is there shines through; otherwise the part takes its place
   */
  void put(Raster part, int left, int top, boolean over) {
    require(new Window(left, top, part.width(), part.height()));
    for (int y = 0; y < part.height(); y++) {
      for (int x = 0; x < part.width(); x++) {
        put(part, y, x, (top + y) * width + left + x, over);
      }
    }
  }

  private void put(Raster part, int y, int x, int at, boolean over) {
    int channels = part.channels();
    boolean gray = channels < 3;
    float alpha = channels % 2 == 0 ? part.at(channels - 1, y, x) : 1;
    int plane = width * height;
    float below = over ? data[3 * plane + at] * (1 - alpha) : 0;
    float all = alpha + below;
    for (int c = 0; c < 3; c++) {
      float value = part.at(gray ? 0 : c, y, x);
      data[c * plane + at] =
          !over ? value : all == 0 ? 0 : (value * alpha + data[c * plane + at] * below) / all;
    }
    data[3 * plane + at] = all;
  }

  void clear(Window place) {
    require(place);
    for (int c = 0; c < 4; c++) {
      for (int y = place.y(); y < place.bottom(); y++) {
        int row = (c * height + y) * width;
        Arrays.fill(data, row + place.x(), row + (int) place.right(), 0);
      }
    }
  }

  private void require(Window place) {
    if (place.x() < 0
        || place.y() < 0
        || (long) place.right() > width
        || (long) place.bottom() > height) {
      throw new ImageException(
          "Corrupt animation: a frame of %d x %d pixels at (%d, %d) reaches out of %d x %d"
              .formatted(place.width(), place.height(), place.x(), place.y(), width, height));
    }
  }

  /** As a file: in color, and with opacity where it is not all there. */
  byte[] png() {
    int plane = width * height;
    boolean clear = false;
    for (int i = 3 * plane; i < data.length; i++) {
      clear |= data[i] < 1;
    }
    return PngCodec.encode(
        clear
            ? new Raster(4, height, width, data.clone())
            : new Raster(3, height, width, Arrays.copyOf(data, 3 * plane)));
  }
}
