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

/** A picture in memory. */
record WholeScene(Raster picture, String mediaType) implements Scene {

  @Override
  public int width() {
    return picture.width();
  }

  @Override
  public int height() {
    return picture.height();
  }

  @Override
  public int channels() {
    return picture.channels();
  }

  @Override
  public PixelFormat format() {
    return picture.format();
  }

  @Override
  public ImageMetadata metadata() {
    return picture.metadata();
  }

  @Override
  public long heapBytes() {
    return (long) picture.data().length * Float.BYTES;
  }

  @Override
  public Raster read(Window window) {
    boolean whole = window.equals(new Window(0, 0, picture.width(), picture.height()));
    return whole ? picture : picture.crop(window);
  }

  @Override
  public boolean mayLackData() {
    return picture.noData().isPresent() || picture.format().noData().isPresent();
  }

  @Override
  public Optional<NoDataMask> noData(Window window) {
    return picture.noData().flatMap(mask -> mask.crop(window));
  }

  @Override
  public void close() {}
}
