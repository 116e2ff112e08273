/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

/** The bits of a scan of a JPEG-LS file: those behind a byte of ones have a zero before them. */
final class JpegLsBits {
  private final byte[] file;
  private int at;
  private int bits;
  private int count;
  private boolean afterOnes;

  JpegLsBits(byte[] file, int at) {
    this.file = file;
    this.at = at;
  }

  int bit() {
    if (count == 0) {
      int next = at < file.length ? file[at] & 0xFF : 0xFF;
      if (at >= file.length || afterOnes && next > 0x7F || isMarker(next)) {
        throw new ImageException("Truncated JPEG-LS data: a scan ends at byte %d".formatted(at));
      }
      at++;
      bits = next;
      count = afterOnes ? 7 : 8;
      afterOnes = next == 0xFF;
    }
    count--;
    return bits >> count & 1;
  }

  private boolean isMarker(int next) {
    return next == 0xFF && (at + 1 >= file.length || (file[at + 1] & 0x80) != 0);
  }

  int read(int length) {
    int value = 0;
    for (int i = 0; i < length; i++) {
      value = value << 1 | bit();
    }
    return value;
  }

  /** The place of the marker behind the scan. */
  int end() {
    // The encoder ends a scan with a byte that is no byte of ones.
    return afterOnes && at < file.length && (file[at] & 0x80) == 0 ? at + 1 : at;
  }
}
