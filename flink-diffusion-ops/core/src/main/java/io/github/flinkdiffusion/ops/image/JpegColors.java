/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

/**
 * What a JPEG file's components are, by libjpeg's rules, and how they become gray or red, green and
 * blue: with libjpeg's rounding, and from CMYK as Pillow does it, which takes inks as Adobe writes
 * them (0 is full).
 */
enum JpegColors {
  GRAY(1),
  RGB(3),
  YCBCR(3),
  CMYK(4),
  YCCK(4);

  private static final int HALF = 1 << 15;

  private final int components;

  JpegColors(int components) {
    this.components = components;
  }

  static JpegColors of(JpegSegments file) {
    if (file.components() == 1) {
      return GRAY;
    }
    if (file.components() == 4) {
      boolean plain = file.adobeTransform().orElse(0) == 0;
      return plain ? CMYK : YCCK;
    }
    if (file.isJfif()) {
      return YCBCR;
    }
    if (file.adobeTransform().isPresent()) {
      return file.adobeTransform().getAsInt() == 0 ? RGB : YCBCR;
    }
    boolean named =
        file.ids().get(0) == 'R' && file.ids().get(1) == 'G' && file.ids().get(2) == 'B';
    return named ? RGB : YCBCR;
  }

  /**
   * @param samples of a decoder that converts no colors
   */
  Raster toRaster(java.awt.image.Raster samples, int width, int height) {
    int channels = this == GRAY ? 1 : 3;
    int plane = Math.multiplyExact(width, height);
    float[] data = new float[Math.multiplyExact(channels, plane)];
    int[] row = new int[width * components];
    int[] color = new int[4];
    for (int y = 0; y < height; y++) {
      samples.getPixels(0, y, width, 1, row);
      for (int x = 0; x < width; x++) {
        System.arraycopy(row, x * components, color, 0, components);
        convert(color);
        for (int c = 0; c < channels; c++) {
          data[c * plane + y * width + x] = color[c] / 255f;
        }
      }
    }
    return new Raster(channels, height, width, data);
  }

  /** In place. */
  void convert(int[] color) {
    switch (this) {
      case GRAY, RGB -> {}
      case YCBCR -> toRgb(color);
      case CMYK -> fromInks(color);
      case YCCK -> {
        toRgb(color);
        // Inks are what is not reflected, and stand inverted in the file.
        for (int c = 0; c < 3; c++) {
          color[c] = 255 - color[c];
        }
        fromInks(color);
      }
    }
  }

  private static void toRgb(int[] color) {
    int y = color[0];
    int cb = color[1] - 128;
    int cr = color[2] - 128;
    color[0] = cut(y + (fixed(1.402) * cr + HALF >> 16));
    color[1] = cut(y + (-fixed(0.34414) * cb + HALF - fixed(0.71414) * cr >> 16));
    color[2] = cut(y + (fixed(1.772) * cb + HALF >> 16));
  }

  private static int fixed(double factor) {
    return (int) (factor * 65536 + 0.5);
  }

  private static int cut(int value) {
    return Math.max(0, Math.min(255, value));
  }

  /** From inks as they stand in the file: 255 is none. */
  private static void fromInks(int[] color) {
    int light = color[3];
    for (int c = 0; c < 3; c++) {
      int product = (255 - color[c]) * light + 128;
      color[c] = cut(light - ((product >> 8) + product >> 8));
    }
  }
}
