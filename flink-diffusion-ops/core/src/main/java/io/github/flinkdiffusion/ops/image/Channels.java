/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;

/** Bytes of files that are open. */
final class Channels {
  private Channels() {}

  /** A file's first bytes, as {@link ImageKind} needs them. */
  static byte[] head(SeekableByteChannel file) throws IOException {
    return bytes(file, (int) Math.min(ImageKind.HEAD_BYTES, file.size()));
  }

  /**
   * All bytes of a file.
   *
   * @throws ImageException if there are more than the limits allow for an image, or they cannot be
   *     read
   */
  static byte[] bytes(SeekableByteChannel file, ImageLimits limits) {
    try {
      if (file.size() > limits.maxBytes() || file.size() > Integer.MAX_VALUE - 16) {
        throw new ImageException(
            "An image file of %d bytes; at most %d are read at once, more of a TIFF file"
                .formatted(file.size(), limits.maxBytes()));
      }
      return bytes(file, (int) file.size());
    } catch (IOException e) {
      throw new ImageException("Cannot read the image file: " + e.getMessage(), e);
    }
  }

  private static byte[] bytes(SeekableByteChannel file, int length) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(length);
    file.position(0);
    while (bytes.hasRemaining()) {
      if (file.read(bytes) < 0) {
        throw new EOFException("it ended at " + bytes.position() + " while it was read");
      }
    }
    return bytes.array();
  }
}
