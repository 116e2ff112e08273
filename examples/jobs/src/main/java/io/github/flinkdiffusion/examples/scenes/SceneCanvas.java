/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.geom.AffineTransform;
import java.awt.image.BufferedImage;
import java.util.List;

/** Draws icons over a plain background. */
final class SceneCanvas {
  /** Drawn larger, then averaged: Java2D's own scaling looks jagged. */
  private static final int OVERSAMPLING = 2;

  private SceneCanvas() {}

  /**
   * Draws a scene, the first icon at the back.
   *
   * @param side pixels
   * @return RGB planes of a square image, each value in -1..1, as autoencoders take it
   */
  static float[] draw(Color background, List<PlacedIcon> icons, int side) {
    int large = side * OVERSAMPLING;
    BufferedImage canvas = new BufferedImage(large, large, BufferedImage.TYPE_INT_RGB);
    Graphics2D graphics = canvas.createGraphics();
    try {
      graphics.setColor(background);
      graphics.fillRect(0, 0, large, large);
      graphics.setRenderingHint(
          RenderingHints.KEY_INTERPOLATION, RenderingHints.VALUE_INTERPOLATION_BICUBIC);
      for (PlacedIcon icon : icons) {
        AffineTransform place =
            AffineTransform.getTranslateInstance(
                icon.left() * OVERSAMPLING, icon.top() * OVERSAMPLING);
        double scale = icon.side() * OVERSAMPLING / icon.drawing().getWidth();
        place.scale(scale, scale);
        graphics.drawImage(icon.drawing(), place, null);
      }
    } finally {
      graphics.dispose();
    }
    int[] pixels = canvas.getRGB(0, 0, large, large, null, 0, large);
    float[] planes = new float[3 * side * side];
    float scale = 2f / (255 * OVERSAMPLING * OVERSAMPLING);
    for (int y = 0; y < large; y++) {
      for (int x = 0; x < large; x++) {
        int rgb = pixels[y * large + x];
        int to = y / OVERSAMPLING * side + x / OVERSAMPLING;
        for (int channel = 0; channel < 3; channel++) {
          planes[channel * side * side + to] += scale * ((rgb >> (16 - 8 * channel)) & 0xff);
        }
      }
    }
    for (int i = 0; i < planes.length; i++) {
      planes[i] -= 1;
    }
    return planes;
  }
}
