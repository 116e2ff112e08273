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

/**
 * A scene that shows another one in some other way. What an implementation does not override is the
 * other scene's. {@link #over} and {@link #asTheFileSays} are not forwarded: they would lose what
 * is other.
 */
interface ForwardingScene extends Scene {

  /** The other scene. */
  Scene scene();

  @Override
  default int width() {
    return scene().width();
  }

  @Override
  default int height() {
    return scene().height();
  }

  @Override
  default int channels() {
    return scene().channels();
  }

  @Override
  default PixelFormat format() {
    return scene().format();
  }

  @Override
  default ImageMetadata metadata() {
    return scene().metadata();
  }

  @Override
  default String mediaType() {
    return scene().mediaType();
  }

  @Override
  default long openBytes() {
    return scene().openBytes();
  }

  @Override
  default long heapBytes() {
    return scene().heapBytes();
  }

  @Override
  default Raster read(Window window) {
    return scene().read(window);
  }

  @Override
  default boolean mayLackData() {
    return scene().mayLackData();
  }

  @Override
  default Optional<NoDataMask> noData(Window window) {
    return scene().noData(window);
  }

  @Override
  default void close() {
    scene().close();
  }
}
