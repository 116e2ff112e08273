/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import org.apache.flink.annotation.Internal;

/**
 * A text as a text encoder with a mask takes it.
 *
 * @param ids as many as were asked for; not to be changed
 * @param mask 1 for a token of the text or a special one, 0 for padding; not to be changed
 * @param truncated whether the text was longer, so that its end was left out
 */
@Internal
public record MaskedTokens(int[] ids, int[] mask, boolean truncated) {

  /** Tokens that are no padding. */
  public int count() {
    int count = 0;
    for (int each : mask) {
      count += each;
    }
    return count;
  }
}
