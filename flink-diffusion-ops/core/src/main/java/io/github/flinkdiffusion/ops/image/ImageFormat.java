/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.channels.SeekableByteChannel;

/**
 * Reads and writes a kind of image file. Another kind is another implementation, a line in {@link
 * Images} and one in {@link ImageKind}; no other kind is touched.
 */
interface ImageFormat {

  ImageKind kind();

  /**
   * Reads a file of this kind. What the file says of its size is checked against the limits before
   * memory is allocated for pixels.
   *
   * @throws ImageException for whatever is wrong with the file, and nothing else
   */
  Raster read(byte[] file, ReadOptions options);

  /**
   * Reads a file of this kind where it is. Kinds that may hold many images read the one asked for;
   * the others read the file into memory first.
   *
   * @throws ImageException for whatever is wrong with the file, and for one that is larger than the
   *     limits and has to be read as a whole
   */
  default Raster read(SeekableByteChannel file, ReadOptions options) {
    return read(Channels.bytes(file, options.limits()), options);
  }

  /**
   * Writes a picture with as much of its metadata as the kind can hold.
   *
   * @throws ImageException if a file of this kind cannot hold the picture
   */
  default byte[] write(Raster picture) {
    throw new ImageException(
        "Files of type %s are read, not written; %s can be written"
            .formatted(kind().mediaType(), Images.WRITABLE));
  }
}
