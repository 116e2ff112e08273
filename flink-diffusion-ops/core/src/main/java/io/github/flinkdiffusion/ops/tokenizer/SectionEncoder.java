/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import java.util.function.IntConsumer;

/** A text between added tokens as tokens. */
interface SectionEncoder {

  /**
   * Gives the ids of a normalized text in order.
   *
   * @param text without halves of surrogate pairs
   */
  void encode(String text, IntConsumer taker);
}
