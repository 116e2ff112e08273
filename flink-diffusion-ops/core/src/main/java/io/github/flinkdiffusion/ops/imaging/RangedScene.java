/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ValueRange;
import io.github.flinkdiffusion.ops.image.Window;

/** A scene in which other numbers of its file are black and white. */
record RangedScene(Scene scene, ValueRange range) implements ForwardingScene {

  @Override
  public PixelFormat format() {
    return scene.format().withRange(range);
  }

  @Override
  public Raster read(Window window) {
    return scene.read(window).over(range);
  }
}
