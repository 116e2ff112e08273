/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import org.apache.flink.annotation.Internal;

/**
 * A picture that fills another size: resized until it covers it, by Lanczos, and cut on both sides
 * of its center, as diffusers' {@code VaeImageProcessor} does with {@code resize_mode="crop"}.
 */
@Internal
public final class FilledSize {
  private FilledSize() {}

  /**
   * @param picture whose values are taken to the nearest of 256 levels
   * @param height rows of the result, from 1
   * @param width pixels of a row of the result, from 1
   * @return of 8 bits, in the picture's bands, without its place
   */
  public static Raster of(Raster picture, int height, int width) {
    // As the reference has it: the ratios are compared as numbers, the sides rounded down.
    double ratio = (double) width / height;
    double own = (double) picture.width() / picture.height();
    long across =
        ratio > own ? width : Math.floorDiv((long) picture.width() * height, picture.height());
    long down =
        ratio > own ? Math.floorDiv((long) picture.height() * width, picture.width()) : height;
    ImageLimits.DEFAULT.check(whole(across), whole(down), picture.channels());
    Raster covering = PilResize.resize(picture, (int) down, (int) across, PilResize.Filter.LANCZOS);
    Window middle =
        new Window((int) (across / 2) - width / 2, (int) (down / 2) - height / 2, width, height);
    return covering
        .crop(middle)
        .withFormat(PixelFormat.of(picture.format().bands(), SampleType.UINT8));
  }

  private static int whole(long side) {
    return (int) Math.min(side, Integer.MAX_VALUE);
  }
}
