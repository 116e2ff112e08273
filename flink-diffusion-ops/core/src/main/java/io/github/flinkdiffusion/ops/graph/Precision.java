/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.graph;

import io.github.flinkdiffusion.ops.weights.DType;
import org.apache.flink.annotation.Internal;
import org.apache.flink.annotation.PublicEvolving;
import org.jspecify.annotations.NullMarked;

/** The dtype in which a network's parameters are kept and its operations compute. */
@NullMarked
@PublicEvolving
public enum Precision {
  /** 4 bytes, IEEE 754 single precision. */
  FLOAT32(DType.F32),
  /** 2 bytes, IEEE 754 half precision: fast on GPUs. */
  FLOAT16(DType.F16),
  /** 2 bytes, the range of single precision with 8 bits of mantissa. */
  BFLOAT16(DType.BF16);

  private final DType type;

  Precision(DType type) {
    this.type = type;
  }

  /** The type of one element. */
  @Internal
  public DType type() {
    return type;
  }

  /** Bytes of one element. */
  @Internal
  public int bytes() {
    return type.bytes();
  }
}
