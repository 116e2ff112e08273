/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.detection;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.Rgb;
import java.awt.Color;
import java.util.List;

/** Draws boxes into images for people to look at. */
public final class BoxPicture {
  private static final int LEAST_SHOWN = 256;
  private static final double GOLDEN_RATIO = 0.618033988749895;

  /** Pixels of a line, the outer one black, so that it shows on every color. */
  private static final int THICKNESS = 3;

  private static final Rgb BLACK = new Rgb(0, 0, 0);

  private BoxPicture() {}

  /** A box, in pixels of the image. */
  public record Labeled(String label, double x, double y, double width, double height) {}

  /**
   * The image with lines around what is in the boxes, a color for each label, white without one; a
   * small image is enlarged first, each pixel to a square.
   *
   * @param image of one to four channels, of which gray or red, green and blue are drawn
   */
  public static Raster drawn(Raster image, List<Labeled> boxes) {
    int scale = Math.max(1, LEAST_SHOWN / Math.max(image.width(), image.height()));
    Raster large = enlarged(image, scale);
    for (Labeled box : boxes) {
      draw(large, box, scale, color(box.label()));
    }
    return large;
  }

  /** The same label has the same color in every picture. */
  private static Rgb color(String label) {
    if (label.isEmpty()) {
      return new Rgb(255, 255, 255);
    }
    // The golden ratio puts the hues of similar labels far apart.
    Color color = Color.getHSBColor((float) (label.hashCode() * GOLDEN_RATIO % 1), 0.8f, 1);
    return new Rgb(color.getRed(), color.getGreen(), color.getBlue());
  }

  private static Raster enlarged(Raster image, int scale) {
    int width = image.width() * scale;
    int height = image.height() * scale;
    float[] data = new float[3 * width * height];
    for (int channel = 0; channel < 3; channel++) {
      int from = image.channels() < 3 ? 0 : channel;
      for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
          data[(channel * height + y) * width + x] = image.at(from, y / scale, x / scale);
        }
      }
    }
    return new Raster(3, height, width, data);
  }

  private static void draw(Raster image, Labeled box, int scale, Rgb color) {
    for (int line = 1; line <= THICKNESS; line++) {
      int left = (int) Math.round(box.x() * scale) - line;
      int top = (int) Math.round(box.y() * scale) - line;
      int right = (int) Math.round((box.x() + box.width()) * scale) + line - 1;
      int bottom = (int) Math.round((box.y() + box.height()) * scale) + line - 1;
      Rgb drawn = line == THICKNESS ? BLACK : color;
      for (int x = left; x <= right; x++) {
        dot(image, x, top, drawn);
        dot(image, x, bottom, drawn);
      }
      for (int y = top; y <= bottom; y++) {
        dot(image, left, y, drawn);
        dot(image, right, y, drawn);
      }
    }
  }

  private static void dot(Raster image, int x, int y, Rgb color) {
    if (x >= 0 && y >= 0 && x < image.width() && y < image.height()) {
      for (int band = 0; band < 3; band++) {
        image.data()[(band * image.height() + y) * image.width() + x] = color.band(band);
      }
    }
  }
}
