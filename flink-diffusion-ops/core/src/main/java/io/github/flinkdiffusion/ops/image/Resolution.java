/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.OptionalDouble;
import org.apache.flink.annotation.Internal;

/**
 * Which of the resolutions that a TIFF file holds is read: the image itself or one of its
 * overviews.
 *
 * @param level 0 for the image, 1 for the largest overview and so on; where there is a pixel size,
 *     that decides
 * @param pixelSize in units of the file's coordinate system: the coarsest level whose pixels are
 *     not larger is read, so what is read holds at least the detail that was asked for
 */
@Internal
public record Resolution(int level, OptionalDouble pixelSize) {
  /** The image itself. */
  public static final Resolution FULL = level(0);

  public Resolution {
    if (level < 0) {
      throw new ImageException("Level %d of a file; levels are counted from 0".formatted(level));
    }
    if (pixelSize.isPresent()
        && !(pixelSize.getAsDouble() > 0 && Double.isFinite(pixelSize.getAsDouble()))) {
      throw new ImageException(
          "A pixel size of %s; a number above 0 is needed".formatted(pixelSize.getAsDouble()));
    }
  }

  public static Resolution level(int level) {
    return new Resolution(level, OptionalDouble.empty());
  }

  public static Resolution ofPixels(double size) {
    return new Resolution(0, OptionalDouble.of(size));
  }
}
