/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import org.apache.flink.annotation.Internal;

/**
 * How large a picture may be, checked before memory is spent on it: a file of some kilobytes can
 * say that it has billions of pixels.
 *
 * @param maxSide the most pixels in width or height
 * @param maxPixels the most pixels in all
 * @param maxBands the most channels
 * @param maxBytes the most bytes of a raster, which takes 4 for each channel of each pixel; while a
 *     file is read, up to twice as much again is in use
 */
@Internal
public record ImageLimits(int maxSide, long maxPixels, int maxBands, long maxBytes) {
  /** 16384 a side, 4096 x 4096 in all, 64 channels, 512 MiB. */
  public static final ImageLimits DEFAULT =
      new ImageLimits(16384, 4096L * 4096, 64, 512L * 1024 * 1024);

  public ImageLimits {
    if (maxSide < 1 || maxPixels < 1 || maxBands < 1 || maxBytes < 4) {
      throw new ImageException(
          ("Limits of %d a side, %d pixels, %d bands and %d bytes; each must be at least 1, and"
                  + " bytes 4")
              .formatted(maxSide, maxPixels, maxBands, maxBytes));
    }
  }

  public ImageLimits withPixels(int side, long pixels) {
    return new ImageLimits(side, pixels, maxBands, maxBytes);
  }

  /**
   * @throws ImageException for a picture that is larger, saying what is accepted
   */
  public void check(int width, int height, int channels) {
    if (width > maxSide || height > maxSide || (long) width * height > maxPixels) {
      throw new ImageException(
          "The image is %d x %d pixels; at most %d a side and %d in all are accepted"
              .formatted(width, height, maxSide, maxPixels));
    }
    if (channels > maxBands) {
      throw new ImageException(
          "The image has %d bands; at most %d are accepted".formatted(channels, maxBands));
    }
    // Pixels and bands are below 2^62 and 2^31, but both at once may be too much for a long.
    if ((double) width * height * channels * Float.BYTES > maxBytes) {
      throw new ImageException(
          "The image of %d x %d pixels in %d bands takes more than %d bytes, which are accepted"
              .formatted(width, height, channels, maxBytes));
    }
  }
}
