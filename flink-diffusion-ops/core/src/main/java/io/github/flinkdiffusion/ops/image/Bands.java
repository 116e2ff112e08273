/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import org.apache.flink.annotation.Internal;

/** What a raster's channels are. */
@Internal
public enum Bands {
  GRAY,
  /** Gray and opacity, not premultiplied. */
  GRAY_ALPHA,
  RGB,
  /** Red, green, blue and opacity, not premultiplied. */
  RGB_ALPHA,
  /** Any number of measurements, such as a satellite's; none of them is opacity. */
  MEASUREMENTS;

  /** The usual meaning of so many channels in a picture. */
  public static Bands ofPicture(int channels) {
    return switch (channels) {
      case 1 -> GRAY;
      case 2 -> GRAY_ALPHA;
      case 3 -> RGB;
      case 4 -> RGB_ALPHA;
      default -> MEASUREMENTS;
    };
  }

  public boolean hasAlpha() {
    return this == GRAY_ALPHA || this == RGB_ALPHA;
  }

  boolean fits(int channels) {
    return this == MEASUREMENTS || this == ofPicture(channels);
  }
}
