/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.emoji;

import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary.Background;
import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary.Emoji;
import io.github.flinkdiffusion.ops.image.Raster;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;

/**
 * One emoji on a plain background, wherever it is put and however large.
 *
 * @param left pixels to the left of the emoji
 * @param top pixels above it
 * @param side of the emoji, in pixels
 */
record PlacedEmoji(Emoji emoji, Background background, int left, int top, int side) {
  /** Side of the image. */
  static final int CANVAS = 64;

  /**
   * Drawn at several times the size, then averaged: Java2D's own scaling by an odd factor looks
   * jagged.
   */
  private static final int OVERSAMPLING = 4;

  /** The scene as an RGB image. */
  Raster render(EmojiImages images) {
    int large = CANVAS * OVERSAMPLING;
    BufferedImage canvas = new BufferedImage(large, large, BufferedImage.TYPE_INT_RGB);
    Graphics2D graphics = canvas.createGraphics();
    try {
      graphics.setColor(new Color(background.red(), background.green(), background.blue()));
      graphics.fillRect(0, 0, large, large);
    } finally {
      graphics.dispose();
    }
    draw(images, canvas);
    return average(canvas);
  }

  /** The emoji's shape as an RGB image, white on black; nothing of what is inside. */
  Raster shape(EmojiImages images) {
    int large = CANVAS * OVERSAMPLING;
    BufferedImage canvas = new BufferedImage(large, large, BufferedImage.TYPE_INT_ARGB);
    draw(images, canvas);
    BufferedImage shape = new BufferedImage(large, large, BufferedImage.TYPE_INT_RGB);
    for (int y = 0; y < large; y++) {
      for (int x = 0; x < large; x++) {
        int opacity = canvas.getRGB(x, y) >>> 24;
        shape.setRGB(x, y, opacity << 16 | opacity << 8 | opacity);
      }
    }
    return average(shape);
  }

  private void draw(EmojiImages images, BufferedImage canvas) {
    Graphics2D graphics = canvas.createGraphics();
    try {
      graphics.setRenderingHint(
          RenderingHints.KEY_INTERPOLATION, RenderingHints.VALUE_INTERPOLATION_BICUBIC);
      graphics.drawImage(
          images.picture(emoji),
          left * OVERSAMPLING,
          top * OVERSAMPLING,
          side * OVERSAMPLING,
          side * OVERSAMPLING,
          null);
    } finally {
      graphics.dispose();
    }
  }

  private static Raster average(BufferedImage canvas) {
    float[] data = new float[3 * CANVAS * CANVAS];
    float scale = 1f / (255 * OVERSAMPLING * OVERSAMPLING);
    for (int y = 0; y < canvas.getHeight(); y++) {
      for (int x = 0; x < canvas.getWidth(); x++) {
        int rgb = canvas.getRGB(x, y);
        int pixel = y / OVERSAMPLING * CANVAS + x / OVERSAMPLING;
        for (int channel = 0; channel < 3; channel++) {
          data[channel * CANVAS * CANVAS + pixel] += scale * ((rgb >> (16 - 8 * channel)) & 0xff);
        }
      }
    }
    return new Raster(3, CANVAS, CANVAS, data);
  }
}
