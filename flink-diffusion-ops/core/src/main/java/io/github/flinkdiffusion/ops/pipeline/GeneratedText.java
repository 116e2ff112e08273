/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import org.apache.flink.annotation.Internal;

/**
 * A finished text.
 *
 * @param text of the prompt's tokens and those after it, without special ones, as transformers
 *     gives it; an answer has no prompt. Of an image that was labelled, the best label
 * @param tokens that were generated, without the one that ends the text
 * @param ended whether the text ended by itself; else it has as many tokens as were wanted at most
 * @param shares of an image that was labelled, how sure the model is of each label, in the
 *     request's order: 1 together; else empty
 */
@Internal
public record GeneratedText(String text, int tokens, boolean ended, Map<String, Float> shares) {
  public GeneratedText {
    Objects.requireNonNull(text, "text");
    shares = Collections.unmodifiableMap(new LinkedHashMap<>(shares));
  }

  /** What a model has written. */
  public GeneratedText(String text, int tokens, boolean ended) {
    this(text, tokens, ended, Map.of());
  }
}
