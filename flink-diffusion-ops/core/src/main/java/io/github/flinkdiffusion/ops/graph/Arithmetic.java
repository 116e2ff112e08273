/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.graph;

import org.apache.flink.annotation.Internal;

/** In which precision a network computes. */
@Internal
public enum Arithmetic {
  /** Every operation in the dtype of its inputs. */
  AS_STORED,
  /**
   * Convolutions, linear layers and attention in bfloat16, norms and losses in float32, weights as
   * stored: for training, on processors with bfloat16 instructions several times faster.
   */
  MIXED_BFLOAT16
}
