/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

/** The bits of a packet's header: a byte of ones is followed by one of seven bits. */
final class Jpeg2000Bits {
  private final byte[] data;
  private final int end;
  private int at;
  private int bits;
  private int count;

  Jpeg2000Bits(byte[] data, int at, int end) {
    this.data = data;
    this.at = at;
    this.end = end;
  }

  int bit() {
    if (count == 0) {
      boolean afterOnes = bits == 0xFF;
      if (at >= end) {
        throw new ImageException(
            "Truncated JPEG 2000 data: a packet ends at byte %d".formatted(at));
      }
      bits = data[at++] & 0xFF;
      count = afterOnes ? 7 : 8;
    }
    count--;
    return bits >> count & 1;
  }

  int read(int length) {
    int value = 0;
    for (int i = 0; i < length; i++) {
      value = value << 1 | bit();
    }
    return value;
  }

  /** The place behind the header, which fills whole bytes. */
  int end() {
    return bits == 0xFF ? Math.min(at + 1, end) : at;
  }
}
