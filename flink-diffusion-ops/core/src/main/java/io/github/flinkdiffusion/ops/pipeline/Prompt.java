/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.prompt.PromptLanguage;

/**
 * A text and how it is encoded.
 *
 * @param clipSkip how many of the text encoder's last layers are left out
 * @param language what else than words it may have
 */
record Prompt(String text, int clipSkip, PromptLanguage language) {

  /** A text that is its words. */
  Prompt(String text, int clipSkip) {
    this(text, clipSkip, PromptLanguage.PLAIN);
  }

  /** What a request asks for, with the layers that it leaves out. */
  static Prompt wanted(GenerationRequest request) {
    Long clipSkip = request.get(Parameters.CLIP_SKIP);
    return new Prompt(request.get(Parameters.PROMPT), clipSkip == null ? 0 : clipSkip.intValue());
  }

  /** What a request does not want: the reference leaves no layers out there. */
  static Prompt unwanted(GenerationRequest request) {
    return new Prompt(request.get(Parameters.NEGATIVE_PROMPT), 0);
  }
}
