/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.NoDataMask;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.Window;
import java.util.Optional;

/** A part of another image as an image of its own; of the other nothing else is read. */
record PartScene(Scene scene, Window part) implements ForwardingScene {

  @Override
  public int width() {
    return part.width();
  }

  @Override
  public int height() {
    return part.height();
  }

  @Override
  public ImageMetadata metadata() {
    return scene.metadata().cropped(part.x(), part.y());
  }

  private Window inWhole(Window window) {
    if (window.right() > part.width() || window.bottom() > part.height()) {
      throw new IllegalArgumentException(window + " of an image of " + part);
    }
    return new Window(
        part.x() + window.x(), part.y() + window.y(), window.width(), window.height());
  }

  @Override
  public Raster read(Window window) {
    return scene.read(inWhole(window));
  }

  @Override
  public Optional<NoDataMask> noData(Window window) {
    return scene.noData(inWhole(window));
  }
}
