/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import org.apache.flink.annotation.Internal;

/** How well a mask covers the true one: true where the thing is. Two empty masks agree: 1. */
@Internal
public final class Overlap {

  private Overlap() {}

  /** Twice the common pixels over the pixels of both, 0 to 1; also called F1. */
  public static double dice(boolean[] mask, boolean[] truth) {
    Counts counts = Counts.of(mask, truth);
    return counts.ratio(2L * counts.both, (long) counts.mask + counts.truth);
  }

  /** The common pixels over the pixels of either, 0 to 1; also called Jaccard's index. */
  public static double intersectionOverUnion(boolean[] mask, boolean[] truth) {
    Counts counts = Counts.of(mask, truth);
    return counts.ratio(counts.both, (long) counts.mask + counts.truth - counts.both);
  }

  private record Counts(int mask, int truth, int both) {
    static Counts of(boolean[] mask, boolean[] truth) {
      if (mask.length != truth.length) {
        throw new QualityException(
            "A mask of %d pixels is compared with one of %d; the same size is needed"
                .formatted(mask.length, truth.length));
      }
      int inMask = 0;
      int inTruth = 0;
      int inBoth = 0;
      for (int i = 0; i < mask.length; i++) {
        inMask += mask[i] ? 1 : 0;
        inTruth += truth[i] ? 1 : 0;
        inBoth += mask[i] && truth[i] ? 1 : 0;
      }
      return new Counts(inMask, inTruth, inBoth);
    }

    double ratio(long part, long whole) {
      return whole == 0 ? 1 : (double) part / whole;
    }
  }
}
