/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.NoDataMask;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.Window;
import java.util.Optional;

/** A part of another image as an image of its own; of the other nothing else is read. */
record PartScene(Scene whole, Window part) implements Scene {

  @Override
  public int width() {
    return part.width();
  }

  @Override
  public int height() {
    return part.height();
  }

  @Override
  public int channels() {
    return whole.channels();
  }

  @Override
  public PixelFormat format() {
    return whole.format();
  }

  @Override
  public ImageMetadata metadata() {
    return whole.metadata().cropped(part.x(), part.y());
  }

  @Override
  public String mediaType() {
    return whole.mediaType();
  }

  @Override
  public long openBytes() {
    return whole.openBytes();
  }

  @Override
  public long heapBytes() {
    return whole.heapBytes();
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
    return whole.read(inWhole(window));
  }

  @Override
  public boolean mayLackData() {
    return whole.mayLackData();
  }

  @Override
  public Optional<NoDataMask> noData(Window window) {
    return whole.noData(inWhole(window));
  }

  @Override
  public void close() {
    whole.close();
  }
}
