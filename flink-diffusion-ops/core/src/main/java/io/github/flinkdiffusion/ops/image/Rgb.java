/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import org.apache.flink.annotation.Internal;

/**
 * A color of 8 bits a band, such as that of a class in a picture of classes.
 *
 * @param red 0 to 255
 * @param green 0 to 255
 * @param blue 0 to 255
 */
@Internal
public record Rgb(int red, int green, int blue) {

  public Rgb {
    if (!inRange(red) || !inRange(green) || !inRange(blue)) {
      throw new ImageException(
          "A color of red %d, green %d, blue %d; each must be from 0 to 255"
              .formatted(red, green, blue));
    }
  }

  private static boolean inRange(int value) {
    return value >= 0 && value <= 255;
  }

  /** One band as a raster's value: 0 red, 1 green, 2 blue. */
  public float band(int index) {
    return (index == 0 ? red : index == 1 ? green : blue) / 255f;
  }

  /** Square of the distance to a color whose bands are given as a raster's values. */
  public double distance(float r, float g, float b) {
    double dr = r - band(0);
    double dg = g - band(1);
    double db = b - band(2);
    return dr * dr + dg * dg + db * db;
  }
}
