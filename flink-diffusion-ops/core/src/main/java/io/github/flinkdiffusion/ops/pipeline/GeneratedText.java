/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.Objects;
import org.apache.flink.annotation.Internal;

/**
 * A finished text.
 *
 * @param text of the prompt's tokens and those after it, without special ones, as transformers
 *     gives it; an answer has no prompt
 * @param tokens that were generated, without the one that ends the text
 * @param ended whether the text ended by itself; else it has as many tokens as were wanted at most
 */
@Internal
public record GeneratedText(String text, int tokens, boolean ended) {
  public GeneratedText {
    Objects.requireNonNull(text, "text");
  }
}
