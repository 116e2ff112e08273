/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import io.github.flinkdiffusion.ops.image.Raster;
import java.util.Arrays;
import org.apache.flink.annotation.Internal;

/** Whether lines can be seen where tiles of a picture meet. */
@Internal
public final class Seams {

  private Seams() {}

  /**
   * How much stronger steps between neighbouring pixels are across seams than elsewhere: the mean
   * absolute second difference across the seams' lines over its mean across all other lines of the
   * same direction. 1 is what a picture has that knows nothing of its seams; a picture of random
   * content varies by a few hundredths around it, and a jump that an eye can follow gives 1.5 or
   * more.
   *
   * <p>Second differences, because a slope across a seam is no seam.
   *
   * @param columns lines between pixels, by the column to the right of each, from 2 to width - 2
   * @param rows the same for rows
   * @return the larger one of both directions; 1 for a picture without any edges
   * @throws QualityException if a line lies outside or there is none
   */
  public static double excess(Raster picture, int[] columns, int[] rows) {
    if (columns.length + rows.length == 0) {
      throw new QualityException("Seams of %s: no lines are given".formatted(picture));
    }
    double largest = 0;
    if (columns.length > 0) {
      largest = excess(profile(picture, picture.width(), true), columns, picture);
    }
    if (rows.length > 0) {
      largest = Math.max(largest, excess(profile(picture, picture.height(), false), rows, picture));
    }
    return largest;
  }

  /** Of each line between pixels, the mean absolute jump beyond what both sides' slopes explain. */
  private static double[] profile(Raster picture, int length, boolean acrossColumns) {
    double[] profile = new double[length + 1];
    int others = acrossColumns ? picture.height() : picture.width();
    for (int line = 2; line <= length - 2; line++) {
      double sum = 0;
      for (int c = 0; c < picture.channels(); c++) {
        for (int other = 0; other < others; other++) {
          float before2 = at(picture, c, line - 2, other, acrossColumns);
          float before = at(picture, c, line - 1, other, acrossColumns);
          float after = at(picture, c, line, other, acrossColumns);
          float after2 = at(picture, c, line + 1, other, acrossColumns);
          double jump = (double) after - before;
          double slopes = ((double) before - before2 + after2 - after) / 2;
          sum += Math.abs(jump - slopes);
        }
      }
      profile[line] = sum / others;
    }
    return profile;
  }

  private static float at(Raster picture, int channel, int along, int other, boolean columns) {
    return columns ? picture.at(channel, other, along) : picture.at(channel, along, other);
  }

  private static double excess(double[] profile, int[] lines, Raster picture) {
    boolean[] seam = new boolean[profile.length];
    for (int line : lines) {
      if (line < 2 || line > profile.length - 3) {
        throw new QualityException(
            "A seam at line %d of %s; 2 to %d are inside"
                .formatted(line, picture, profile.length - 3));
      }
      seam[line] = true;
    }
    double[] sums = new double[2];
    int[] counts = new int[2];
    for (int line = 2; line <= profile.length - 3; line++) {
      int kind = seam[line] ? 1 : 0;
      sums[kind] += profile[line];
      counts[kind]++;
    }
    if (counts[0] == 0) {
      throw new QualityException(
          "Seams of %s at %s: no other line is left to compare with"
              .formatted(picture, Arrays.toString(lines)));
    }
    double elsewhere = sums[0] / counts[0];
    double across = sums[1] / counts[1];
    return elsewhere == 0 ? across == 0 ? 1 : Double.POSITIVE_INFINITY : across / elsewhere;
  }
}
