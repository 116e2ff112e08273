/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import org.apache.flink.annotation.Internal;

/**
 * A rectangle in pixels of the picture, from the outer corner of the first one.
 *
 * @param x left edge
 * @param y upper edge
 * @param width above 0
 * @param height above 0
 */
@Internal
public record Box(double x, double y, double width, double height) {
  public Box {
    if (!(width > 0 && height > 0)) {
      throw new IllegalArgumentException("A box of %s x %s pixels".formatted(width, height));
    }
  }
}
