/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import java.util.Arrays;

/**
 * An image of which a part is kept.
 *
 * @param image clean, in the sample's values
 * @param mask 1 where it is kept, 0 where it is made anew; repeated for each channel when it is
 *     shorter than the image
 */
record KnownPart(float[] image, float[] mask) {
  KnownPart {
    if (mask.length == 0 || image.length % mask.length != 0) {
      throw new SchedulerException(
          "Sampling: a mask of %d values does not fit an image of %d; it must be as long, or as long as one channel"
              .formatted(mask.length, image.length));
    }
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof KnownPart that
        && Arrays.equals(image, that.image)
        && Arrays.equals(mask, that.mask);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.hashCode(image) + Arrays.hashCode(mask);
  }

  @Override
  public String toString() {
    return "KnownPart[" + image.length + " values]";
  }
}
