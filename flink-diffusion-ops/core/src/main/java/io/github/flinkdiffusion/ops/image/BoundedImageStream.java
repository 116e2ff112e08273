/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import javax.imageio.stream.ImageInputStreamImpl;

/**
 * A file in memory for decoders that go on behind its end, and might for hours: some reads there
 * are answered, as by any stream, and then the file is truncated.
 */
final class BoundedImageStream extends ImageInputStreamImpl {
  private static final int MOST_READS_BEHIND = 4096;

  private final byte[] file;
  private final String kind;
  private int readsBehind;

  /**
   * @param kind as errors name it, such as WebP
   */
  BoundedImageStream(byte[] file, String kind) {
    this.file = file;
    this.kind = kind;
  }

  @Override
  public int read() {
    bitOffset = 0;
    if (streamPos >= file.length) {
      return behind();
    }
    return file[(int) streamPos++] & 0xFF;
  }

  @Override
  public int read(byte[] bytes, int offset, int length) {
    bitOffset = 0;
    if (length == 0) {
      return 0;
    }
    if (streamPos >= file.length) {
      return behind();
    }
    int count = (int) Math.min(length, file.length - streamPos);
    System.arraycopy(file, (int) streamPos, bytes, offset, count);
    streamPos += count;
    return count;
  }

  private int behind() {
    if (++readsBehind > MOST_READS_BEHIND) {
      throw new ImageException(
          "Truncated %s file: its pixels do not end with its %d bytes"
              .formatted(kind, file.length));
    }
    return -1;
  }

  @Override
  public long length() {
    return file.length;
  }
}
