/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.ByteOrder;

/** Floats of fewer than 32 bits. */
final class SmallFloats {
  private SmallFloats() {}

  /** IEEE 754's binary16. */
  static float ofHalf(short half) {
    int sign = (half & 0x8000) << 16;
    int exponent = half >> 10 & 0x1F;
    int fraction = half & 0x3FF;
    if (exponent == 0) {
      float small = fraction * 0x1p-24f;
      return sign == 0 ? small : -small;
    }
    int wide = exponent == 31 ? 0xFF : exponent - 15 + 127;
    return Float.intBitsToFloat(sign | wide << 23 | fraction << 13);
  }

  /** Adobe's floats of 24 bits: 7 of exponent, 16 of fraction. */
  static float of24(byte[] bytes, int at, ByteOrder order) {
    boolean big = order == ByteOrder.BIG_ENDIAN;
    int high = bytes[big ? at : at + 2] & 0xFF;
    int low = bytes[big ? at + 2 : at] & 0xFF;
    int fraction = (bytes[at + 1] & 0xFF) << 8 | low;
    int exponent = high & 0x7F;
    int sign = (high & 0x80) << 24;
    if (exponent == 0) {
      float small = fraction * 0x1p-78f;
      return sign == 0 ? small : -small;
    }
    int wide = exponent == 127 ? 0xFF : exponent - 63 + 127;
    return Float.intBitsToFloat(sign | wide << 23 | fraction << 7);
  }
}
