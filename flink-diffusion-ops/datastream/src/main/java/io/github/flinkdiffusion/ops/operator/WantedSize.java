/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.image.FloatResize;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.ImageLimits;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.Window;
import io.github.flinkdiffusion.ops.imaging.Scene;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Parameters;

/**
 * The size that a request wants its images in, before they are cut.
 *
 * @param width null for an image's own
 * @param height null for an image's own
 */
record WantedSize(Long width, Long height) {

  static WantedSize of(Arguments wanted) {
    return new WantedSize(wanted.get(Parameters.WIDTH), wanted.get(Parameters.HEIGHT));
  }

  /**
   * The scene in this size; closes the given one if that is another.
   *
   * @throws InvalidRequestException if there is no such size
   * @throws ImageException if it is too large to be in memory as a whole
   */
  Scene of(Scene scene) {
    int newWidth = side(width, scene.width());
    int newHeight = side(height, scene.height());
    if (newWidth == scene.width() && newHeight == scene.height()) {
      return scene;
    }
    if (newWidth < 1 || newHeight < 1) {
      throw new InvalidRequestException(
          "width and height are %d x %d; each must be at least 1.".formatted(newWidth, newHeight));
    }
    // Both are in memory as a whole.
    ImageLimits.DEFAULT.check(scene.width(), scene.height(), scene.channels());
    ImageLimits.DEFAULT.check(newWidth, newHeight, scene.channels());
    Raster whole = scene.read(new Window(0, 0, scene.width(), scene.height()));
    Raster other =
        FloatResize.resize(whole, newHeight, newWidth, PilResize.Filter.BICUBIC).like(whole);
    scene.close();
    return Scene.of(other, scene.mediaType());
  }

  private static int side(Long wanted, int own) {
    return wanted == null ? own : (int) Math.max(-1, Math.min(wanted, Integer.MAX_VALUE));
  }
}
