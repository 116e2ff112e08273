/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.Arrays;

/**
 * A prompt as the denoising network sees it.
 *
 * @param states hidden states [tokens, size]
 * @param pooled the projected state of its end, empty where the text encoder is not asked for it
 * @param truncated true when the prompt's end did not fit
 */
record PromptEncoding(float[] states, float[] pooled, boolean truncated) {

  /** The states, behind which those of an empty text are repeated. */
  float[] filledUp(int length, float[] empty) {
    float[] all = Arrays.copyOf(states, length);
    for (int at = states.length; at < length; at += empty.length) {
      System.arraycopy(empty, 0, all, at, empty.length);
    }
    return all;
  }
}
