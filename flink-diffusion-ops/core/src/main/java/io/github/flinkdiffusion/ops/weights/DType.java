/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import org.apache.flink.annotation.Internal;

/**
 * The type of a tensor's elements, by the names that safetensors uses. All are stored
 * little-endian. The order is that of tensors in a file, as the reference writer has it: the
 * largest elements first, so that each tensor is aligned.
 */
@Internal
public enum DType {
  I64(Long.BYTES),
  F64(Double.BYTES),
  F32(Float.BYTES),
  I32(Integer.BYTES),
  BF16(Short.BYTES),
  F16(Short.BYTES),
  I16(Short.BYTES),
  /** 1 sign, 4 exponent, 3 mantissa bits, bias 7; no infinities. Read only. */
  F8_E4M3(1),
  /** The upper half of an F16. Read only. */
  F8_E5M2(1),
  I8(1),
  U8(1),
  BOOL(1);

  private final int bytes;

  DType(int bytes) {
    this.bytes = bytes;
  }

  /** Bytes of one element. */
  public int bytes() {
    return bytes;
  }

  /**
   * Whether the elements are floating-point numbers, and so convertible to another floating-point
   * type of at least 16 bits.
   */
  public boolean isFloating() {
    return this == F64 || this == F32 || this == F16 || this == BF16 || isEightBitFloating();
  }

  /** Whether the elements are floating-point numbers of 8 bits, which nothing converts to. */
  boolean isEightBitFloating() {
    return this == F8_E4M3 || this == F8_E5M2;
  }
}
