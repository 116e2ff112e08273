/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.Rgb;
import io.github.flinkdiffusion.ops.pipeline.ClassMap;
import org.apache.flink.annotation.Internal;

/** Classes as people look at them. */
@Internal
public final class ClassPictures {
  private ClassPictures() {}

  /** Every pixel in the color of its class: three channels of 8 bits. */
  public static Raster painted(ClassRaster classes, ClassMap map) {
    int plane = classes.numbers().length;
    float[] values = new float[3 * plane];
    for (int i = 0; i < plane; i++) {
      paint(values, plane, i, map.palette().get(classes.numbers()[i] & 0xff));
    }
    return new Raster(3, classes.height(), classes.width(), values);
  }

  /**
   * A picture with the outlines of its classes in their colors. A pixel is on an outline if it is
   * of a class that is not the background and one of the four beside it is of another one.
   *
   * @param picture gray or color, as large as the classes
   */
  public static Raster outlined(Raster picture, ClassRaster classes, ClassMap map) {
    if (picture.width() != classes.width() || picture.height() != classes.height()) {
      throw new IllegalArgumentException(
          "%s is not as large as its classes, %d x %d"
              .formatted(picture, classes.width(), classes.height()));
    }
    int plane = classes.numbers().length;
    float[] values = new float[3 * plane];
    boolean color = picture.channels() >= 3;
    for (int c = 0; c < 3; c++) {
      System.arraycopy(picture.data(), color ? c * plane : 0, values, c * plane, plane);
    }
    for (int y = 0; y < classes.height(); y++) {
      for (int x = 0; x < classes.width(); x++) {
        int number = classes.at(x, y);
        if (!map.isBackground(number) && isEdge(classes, x, y)) {
          paint(values, plane, y * classes.width() + x, map.palette().get(number));
        }
      }
    }
    return new Raster(3, classes.height(), classes.width(), values);
  }

  private static boolean isEdge(ClassRaster classes, int x, int y) {
    int number = classes.at(x, y);
    return x > 0 && classes.at(x - 1, y) != number
        || y > 0 && classes.at(x, y - 1) != number
        || x < classes.width() - 1 && classes.at(x + 1, y) != number
        || y < classes.height() - 1 && classes.at(x, y + 1) != number;
  }

  private static void paint(float[] values, int plane, int pixel, Rgb color) {
    for (int c = 0; c < 3; c++) {
      values[c * plane + pixel] = color.band(c);
    }
  }
}
