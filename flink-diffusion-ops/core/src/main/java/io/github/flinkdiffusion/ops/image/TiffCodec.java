/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

/** TIFF files in memory; see {@link TiffReader} and {@link TiffWriter}. */
final class TiffCodec implements ImageFormat {

  @Override
  public ImageKind kind() {
    return ImageKind.TIFF;
  }

  @Override
  public Raster read(byte[] file, ReadOptions options) {
    return TiffReader.decode(file, options);
  }

  @Override
  public byte[] write(Raster picture) {
    return TiffWriter.encode(picture);
  }
}
