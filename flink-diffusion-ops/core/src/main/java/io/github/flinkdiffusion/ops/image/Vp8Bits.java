/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

/** The arithmetic decoder of VP8 (RFC 6386, section 7). */
final class Vp8Bits {
  private static final int HALF = 128;

  /** Bytes that are read ahead, and may lie behind the end. */
  private static final int AHEAD = 2;

  private final byte[] data;
  private final int end;
  private int at;
  private int range = 255;
  private int value;
  private int shifted;
  private int missing;

  /**
   * @param begin first byte of a partition
   * @param end after its last
   */
  Vp8Bits(byte[] data, int begin, int end) {
    this.data = data;
    this.at = begin;
    this.end = end;
    this.value = next() << 8;
    this.value |= next();
  }

  private int next() {
    if (at < end) {
      return data[at++] & 0xFF;
    }
    missing++;
    return 0;
  }

  /** Whether more was read than is there; what is missing was read as zeros. */
  boolean isExhausted() {
    return missing > AHEAD;
  }

  /**
   * A bit.
   *
   * @param probability that it is zero, of 256
   */
  int bit(int probability) {
    int split = 1 + ((range - 1) * probability >> 8);
    int bit;
    if (value >= split << 8) {
      bit = 1;
      range -= split;
      value -= split << 8;
    } else {
      bit = 0;
      range = split;
    }
    while (range < HALF) {
      value <<= 1;
      range <<= 1;
      if (++shifted == 8) {
        shifted = 0;
        value |= next();
      }
    }
    return bit;
  }

  boolean flag() {
    return bit(HALF) == 1;
  }

  /** An unsigned number, its highest bit first. */
  int number(int bits) {
    int number = 0;
    for (int i = 0; i < bits; i++) {
      number = number << 1 | bit(HALF);
    }
    return number;
  }

  /** A flag, and when it is set a number and its sign; else zero. */
  int optionalSigned(int bits) {
    return flag() ? signed(bits) : 0;
  }

  /** A number, then its sign. */
  int signed(int bits) {
    int number = number(bits);
    return flag() ? -number : number;
  }
}
