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
  MEASUREMENTS,
  /** As {@link #MEASUREMENTS}, and opacity as the last one. */
  MEASUREMENTS_ALPHA;

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
    return this == GRAY_ALPHA || this == RGB_ALPHA || this == MEASUREMENTS_ALPHA;
  }

  public boolean areMeasurements() {
    return this == MEASUREMENTS || this == MEASUREMENTS_ALPHA;
  }

  /** The same bands with opacity behind them; themselves if they have it. */
  public Bands withAlpha() {
    return switch (this) {
      case GRAY, GRAY_ALPHA -> GRAY_ALPHA;
      case RGB, RGB_ALPHA -> RGB_ALPHA;
      case MEASUREMENTS, MEASUREMENTS_ALPHA -> MEASUREMENTS_ALPHA;
    };
  }

  boolean fits(int channels) {
    return switch (this) {
      case MEASUREMENTS -> true;
      case MEASUREMENTS_ALPHA -> channels > 1;
      default -> this == ofPicture(channels);
    };
  }
}
