/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.awt.image.BufferedImage;
import java.awt.image.IndexColorModel;

/** Images of 8 bits as Java's decoders give them. */
final class JavaImages {
  private JavaImages() {}

  /**
   * As gray, gray and opacity, RGB or RGBA, by its samples; a palette as RGB, or as RGBA if some of
   * its colors are clear.
   */
  static Raster toRaster(BufferedImage image) {
    if (image.getColorModel() instanceof IndexColorModel colors) {
      return fromPalette(image, colors);
    }
    int channels = image.getRaster().getNumBands();
    if (channels > 4 || image.getColorModel().isAlphaPremultiplied()) {
      throw new ImageException(
          "An image of %d bands, opacity multiplied in: %s; up to 4 and no are supported"
              .formatted(channels, image.getColorModel().isAlphaPremultiplied()));
    }
    int width = image.getWidth();
    int height = image.getHeight();
    float[] data = new float[Math.multiplyExact(channels, Math.multiplyExact(width, height))];
    int[] row = new int[width];
    for (int c = 0; c < channels; c++) {
      // Of packed pixels, too few bits would be stretched over 8.
      float white = (1 << image.getSampleModel().getSampleSize(c)) - 1;
      for (int y = 0; y < height; y++) {
        image.getRaster().getSamples(0, y, width, 1, c, row);
        int at = (c * height + y) * width;
        for (int x = 0; x < width; x++) {
          data[at + x] = row[x] / white;
        }
      }
    }
    return new Raster(channels, height, width, data);
  }

  private static Raster fromPalette(BufferedImage image, IndexColorModel colors) {
    int width = image.getWidth();
    int height = image.getHeight();
    int channels = colors.hasAlpha() ? 4 : 3;
    float[] data = new float[Math.multiplyExact(channels, Math.multiplyExact(width, height))];
    int[] row = new int[width];
    for (int y = 0; y < height; y++) {
      image.getRaster().getSamples(0, y, width, 1, 0, row);
      for (int x = 0; x < width; x++) {
        // What a file does not name is black, as Pillow has it.
        int argb = row[x] < colors.getMapSize() ? colors.getRGB(row[x]) : 0xFF000000;
        for (int c = 0; c < channels; c++) {
          int shift = c == 3 ? 24 : 16 - 8 * c;
          data[(c * height + y) * width + x] = (argb >>> shift & 0xFF) / 255f;
        }
      }
    }
    return new Raster(channels, height, width, data);
  }
}
