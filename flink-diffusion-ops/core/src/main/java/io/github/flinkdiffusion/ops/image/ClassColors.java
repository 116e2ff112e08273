/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import org.apache.flink.annotation.Internal;

/**
 * Paints numbers of classes in colors, as a ControlNet of segmentations wants to see them.
 *
 * <pre>{@code
 * Raster painted = ClassColors.parse("787878 b47878 06e6e6").paint(classes);
 * }</pre>
 *
 * @param colors of the classes from 0
 */
@Internal
public record ClassColors(List<Rgb> colors) {
  private static final Pattern COLOR = Pattern.compile("#?[0-9a-fA-F]{6}");
  private static final int MOST_COLORS = 65_536;
  private static final int MOST_SHOWN = 20;

  /** The colors of PASCAL VOC, whose bands take a number's bits from the lowest to the highest. */
  public static final ClassColors VOC = new ClassColors(voc());

  public ClassColors {
    colors = List.copyOf(colors);
  }

  private static List<Rgb> voc() {
    List<Rgb> colors = new ArrayList<>();
    for (int number = 0; number < 256; number++) {
      int[] bands = new int[3];
      for (int bit = 0; bit < 8; bit++) {
        bands[bit % 3] |= (number >> bit & 1) << (7 - bit / 3);
      }
      colors.add(new Rgb(bands[0], bands[1], bands[2]));
    }
    return colors;
  }

  /**
   * @param text six hexadecimal digits a color, separated by blanks or commas
   * @throws ImageException for a text that is none
   */
  public static ClassColors parse(String text) {
    List<Rgb> colors = new ArrayList<>();
    for (String color : text.strip().split("[\\s,;]+")) {
      if (!COLOR.matcher(color).matches() || colors.size() == MOST_COLORS) {
        throw new ImageException(
            "Color %d of classes is '%s'; expected six hexadecimal digits, such as 06e6e6, of at most %d colors"
                .formatted(
                    colors.size(),
                    color.length() <= MOST_SHOWN ? color : color.substring(0, MOST_SHOWN) + "...",
                    MOST_COLORS));
      }
      int value = Integer.parseInt(color.replace("#", ""), 16);
      colors.add(new Rgb(value >> 16, value >> 8 & 0xff, value & 0xff));
    }
    return new ClassColors(colors);
  }

  /**
   * @param classes one band, whose numbers are those of classes
   * @return three bands of 8 bits
   * @throws ImageException for another number of bands, or a class without a color
   */
  public Raster paint(Raster classes) {
    int bands = classes.format().bands().hasAlpha() ? classes.channels() - 1 : classes.channels();
    if (bands != 1) {
      throw new ImageException(
          "Colors of classes in an image with %d bands; expected one band with their numbers"
              .formatted(bands));
    }
    int plane = classes.height() * classes.width();
    float[] values = new float[3 * plane];
    for (int i = 0; i < plane; i++) {
      long number = Math.round(classes.format().range().value(classes.data()[i]));
      if (number < 0 || number >= colors.size()) {
        throw new ImageException(
            "Class %d has no color; there are %d, for classes from 0"
                .formatted(number, colors.size()));
      }
      for (int band = 0; band < 3; band++) {
        values[band * plane + i] = colors.get((int) number).band(band);
      }
    }
    return new Raster(3, classes.height(), classes.width(), values);
  }
}
