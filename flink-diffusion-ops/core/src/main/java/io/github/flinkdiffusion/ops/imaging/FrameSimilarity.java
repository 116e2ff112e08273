/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.Raster;
import org.apache.flink.annotation.Internal;

/**
 * Decides which frames of a stream are answered with the result of an earlier one: the stochastic
 * similarity filter of StreamDiffusion (Kodaira et al. 2023, arXiv 2312.12491, section 3.4). The
 * more alike two frames are, the more probably the second one is not generated; so a scene that
 * hardly changes costs little, and still follows the camera without a jump at a fixed threshold.
 *
 * @param threshold cosine similarity above which frames may be repeated, from 0 and below 1
 * @param maxRepeats most frames in a row that are answered with one result
 */
@Internal
public record FrameSimilarity(double threshold, int maxRepeats) {

  /**
   * Cosine of the angle between two frames whose values are brought from 0..1 to -1..1, as
   * StreamDiffusion's filter sees them.
   *
   * @return 0 for frames of different sizes, and where one is gray all over
   */
  public static double cosine(Raster first, Raster second) {
    if (first.channels() != second.channels()
        || first.height() != second.height()
        || first.width() != second.width()) {
      return 0;
    }
    float[] a = first.data();
    float[] b = second.data();
    double product = 0;
    double ofFirst = 0;
    double ofSecond = 0;
    for (int i = 0; i < a.length; i++) {
      double x = 2.0 * a[i] - 1;
      double y = 2.0 * b[i] - 1;
      product += x * y;
      ofFirst += x * x;
      ofSecond += y * y;
    }
    double lengths = Math.sqrt(ofFirst) * Math.sqrt(ofSecond);
    return lengths == 0 ? 0 : product / lengths;
  }

  /** With which probability a frame of this similarity is answered with the earlier result. */
  public double probability(double cosine) {
    return Math.max(0, 1 - (1 - cosine) / (1 - threshold));
  }

  /**
   * Whether a frame is answered with the earlier result.
   *
   * @param repeated how often that result was repeated before
   * @param draw uniform, from 0 and below 1; the same frame gets the same one in each attempt
   */
  public boolean repeats(double cosine, int repeated, double draw) {
    return repeated < maxRepeats && draw < probability(cosine);
  }
}
