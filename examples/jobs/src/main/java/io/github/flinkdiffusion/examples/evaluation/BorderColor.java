/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.evaluation;

import io.github.flinkdiffusion.ops.image.Raster;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * The nearest of some colors to an image's border: for images of things on plain backgrounds. It
 * has no weights, so it shares none with the model that it judges.
 */
final class BorderColor implements AttributeReader {
  private static final int CHANNELS = 3;
  private static final int LEVELS = 255;

  private final List<String> names;
  private final double[][] colors;

  /**
   * @param colors {@code #rrggbb} by name
   */
  BorderColor(Map<String, String> colors) {
    this.names = List.copyOf(colors.keySet());
    this.colors = colors.values().stream().map(BorderColor::color).toArray(double[][]::new);
  }

  private static double[] color(String text) {
    if (text == null || !text.matches("#[0-9a-fA-F]{6}")) {
      throw new EvaluationException(
          "A color is '%s'; expected '#' and six hexadecimal digits".formatted(text));
    }
    int rgb = Integer.parseInt(text.substring(1), 16);
    return new double[] {
      (rgb >> 16) / (double) LEVELS, (rgb >> 8 & LEVELS) / (double) LEVELS, (rgb & LEVELS) / 255.0
    };
  }

  @Override
  public List<String> classes() {
    return names;
  }

  @Override
  public String description() {
    return "No network: the color, of those below, that is nearest to the median of the image's"
        + " border pixels.";
  }

  @Override
  public int[] read(List<Raster> images) {
    return images.stream().mapToInt(image -> nearest(border(image))).toArray();
  }

  private int nearest(double[] seen) {
    int nearest = 0;
    double least = Double.MAX_VALUE;
    for (int i = 0; i < colors.length; i++) {
      double distance = 0;
      for (int c = 0; c < CHANNELS; c++) {
        distance += (seen[c] - colors[i][c]) * (seen[c] - colors[i][c]);
      }
      if (distance < least) {
        least = distance;
        nearest = i;
      }
    }
    return nearest;
  }

  private static double[] border(Raster image) {
    int width = image.width();
    int height = image.height();
    double[] medians = new double[CHANNELS];
    for (int c = 0; c < CHANNELS; c++) {
      int channel = image.channels() < CHANNELS ? 0 : c;
      double[] values = new double[2 * (width + height)];
      int at = 0;
      for (int x = 0; x < width; x++) {
        values[at++] = image.at(channel, 0, x);
        values[at++] = image.at(channel, height - 1, x);
      }
      for (int y = 0; y < height; y++) {
        values[at++] = image.at(channel, y, 0);
        values[at++] = image.at(channel, y, width - 1);
      }
      Arrays.sort(values);
      medians[c] = (values[at / 2 - 1] + values[at / 2]) / 2;
    }
    return medians;
  }
}
