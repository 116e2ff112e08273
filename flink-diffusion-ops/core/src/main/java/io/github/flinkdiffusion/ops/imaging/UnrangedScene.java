/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ValueRange;
import io.github.flinkdiffusion.ops.image.Window;

/**
 * A scene of floats of which nothing says what is black and white, so that 0 and 1 are. What is far
 * from both cannot be meant so, and would be cut off.
 */
record UnrangedScene(Scene scene) implements ForwardingScene {
  static final ValueRange SHARES = new ValueRange(0, 1);

  /** Values of which a model sees the nearest of 0 and 1: glints, noise, indices such as NDVI. */
  private static final ValueRange TOLERATED = new ValueRange(-1, 2);

  @Override
  public Raster read(Window window) {
    Raster part = scene.read(window);
    for (int i = 0; i < part.data().length; i++) {
      double value = part.data()[i];
      boolean missing = part.noData().isPresent() && part.noData().get().isMissing(i);
      if (!missing && (value < TOLERATED.low() || value > TOLERATED.high())) {
        throw new ImageException(
            "The image holds the float %s, and nothing says which values are black and white. Set the parameter valueRange or the option diffusion.image.value-range, such as 0..1000; without them, 0 is black and 1 is white"
                .formatted(part.data()[i]));
      }
    }
    return part;
  }

  @Override
  public Scene over(ValueRange other) {
    return scene.over(other);
  }
}
