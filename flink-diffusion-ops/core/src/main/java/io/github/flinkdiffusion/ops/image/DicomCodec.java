/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.channels.SeekableByteChannel;

/**
 * DICOM files. A gray value is the stored one after rescaling, such as Hounsfield units. The
 * window, if there is one, is the raster's range: its ends are black and white, and what lies
 * outside is kept. Where small values are bright (MONOCHROME1), the range descends. Color becomes
 * RGB. {@link ReadOptions#page()} says which frame.
 *
 * @see DicomFile
 */
final class DicomCodec implements ImageFormat {

  @Override
  public ImageKind kind() {
    return ImageKind.DICOM;
  }

  @Override
  public Raster read(byte[] file, ReadOptions options) {
    return read(new ByteArrayChannel(file), options);
  }

  @Override
  public Raster read(SeekableByteChannel file, ReadOptions options) {
    return DicomFile.open(new DicomSource(file), options.limits().maxBytes() / 4).frame(options);
  }

  @Override
  public byte[] write(Raster image) {
    return DicomWriter.write(image);
  }
}
