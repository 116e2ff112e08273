/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.NoDataMask;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ValueRange;
import io.github.flinkdiffusion.ops.image.Window;
import java.util.Optional;

/** A scene in which other numbers of its file are black and white. */
record RangedScene(Scene scene, ValueRange range) implements Scene {

  @Override
  public int width() {
    return scene.width();
  }

  @Override
  public int height() {
    return scene.height();
  }

  @Override
  public int channels() {
    return scene.channels();
  }

  @Override
  public PixelFormat format() {
    return scene.format().withRange(range);
  }

  @Override
  public ImageMetadata metadata() {
    return scene.metadata();
  }

  @Override
  public String mediaType() {
    return scene.mediaType();
  }

  @Override
  public long openBytes() {
    return scene.openBytes();
  }

  @Override
  public long heapBytes() {
    return scene.heapBytes();
  }

  @Override
  public Raster read(Window window) {
    return scene.read(window).over(range);
  }

  @Override
  public boolean mayLackData() {
    return scene.mayLackData();
  }

  @Override
  public Optional<NoDataMask> noData(Window window) {
    return scene.noData(window);
  }

  @Override
  public void close() {
    scene.close();
  }
}
