/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.DecodedSize;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.NoDataMask;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.TiffReader;
import io.github.flinkdiffusion.ops.image.Window;
import java.io.IOException;
import java.nio.channels.SeekableByteChannel;
import java.util.Optional;

/** A picture in a TIFF file. */
final class TiffScene implements Scene {
  private final TiffReader reader;

  private TiffScene(TiffReader reader) {
    this.reader = reader;
  }

  /** What is selected of a file; closed with the scene, or when that fails. */
  static Scene open(SeekableByteChannel file, ReadOptions options, Selection selection) {
    try {
      TiffReader reader = TiffReader.open(file, options, selection.resolution());
      return selection.of(new TiffScene(reader), reader.fullWidth(), reader.fullHeight());
    } catch (RuntimeException | Error e) {
      try {
        file.close();
      } catch (IOException closing) {
        e.addSuppressed(closing);
      }
      throw e;
    }
  }

  /** Unpacked blocks of the file: its windows are the parts' memory. */
  static DecodedSize size(Scene scene) {
    long pixels = (long) scene.width() * scene.height();
    return new DecodedSize(
        "%d x %d pixels".formatted(scene.width(), scene.height()),
        scene.width(),
        scene.height(),
        pixels,
        (long) ((double) pixels * scene.channels() * Float.BYTES),
        scene.openBytes(),
        scene.openBytes());
  }

  @Override
  public int width() {
    return reader.width();
  }

  @Override
  public int height() {
    return reader.height();
  }

  @Override
  public int channels() {
    return reader.channels();
  }

  @Override
  public PixelFormat format() {
    return reader.format();
  }

  @Override
  public ImageMetadata metadata() {
    return reader.metadata();
  }

  @Override
  public String mediaType() {
    return "image/tiff";
  }

  @Override
  public long openBytes() {
    return reader.heapBytes();
  }

  @Override
  public long heapBytes() {
    long whole = (long) width() * height() * channels() * Float.BYTES;
    return Math.min(whole, reader.heapBytes());
  }

  @Override
  public synchronized Raster read(Window window) {
    return reader.read(window);
  }

  @Override
  public boolean mayLackData() {
    return reader.mayLackData();
  }

  @Override
  public synchronized Optional<NoDataMask> noData(Window window) {
    return reader.noData(window);
  }

  @Override
  public synchronized void close() {
    reader.close();
  }
}
