/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.Raster;
import java.util.Arrays;

/**
 * What a safety checker makes of one picture.
 *
 * @param flagged whether the picture is not to be shown
 * @param specialScores one for each concept that sharpens the check: by how much the picture is
 *     closer to it than its threshold, in thousandths' precision; positive means hit
 * @param conceptScores the same for each concept that flags, the sharpening included
 */
record SafetyVerdict(boolean flagged, float[] specialScores, float[] conceptScores) {

  /** The picture as it may be shown: itself, or all black if it was flagged. */
  public Raster shown(Raster picture) {
    return flagged
        ? Raster.filled(picture.channels(), picture.height(), picture.width(), 0)
        : picture;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof SafetyVerdict that
        && flagged == that.flagged
        && Arrays.equals(specialScores, that.specialScores)
        && Arrays.equals(conceptScores, that.conceptScores);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.hashCode(specialScores) + Arrays.hashCode(conceptScores);
  }

  @Override
  public String toString() {
    return (flagged ? "flagged" : "not flagged")
        + ", special "
        + Arrays.toString(specialScores)
        + ", concepts "
        + Arrays.toString(conceptScores);
  }
}
