/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.prompt.PromptLanguage;
import java.util.List;

/**
 * A text and how it is encoded.
 *
 * @param clipSkip how many of the text encoder's last layers are left out
 * @param language what else than words it may have
 * @param loras what the text encoder's layers have added
 */
record Prompt(String text, int clipSkip, PromptLanguage language, List<RequestedLora> loras) {

  /** A text that is its words. */
  Prompt(String text, int clipSkip) {
    this(text, clipSkip, PromptLanguage.PLAIN, List.of());
  }

  /** What a request asks for, with the layers that it leaves out. */
  static Prompt wanted(GenerationRequest request) {
    Long clipSkip = request.get(Parameters.CLIP_SKIP);
    return of(request, request.get(Parameters.PROMPT), clipSkip == null ? 0 : clipSkip.intValue());
  }

  /** What a request does not want: the reference leaves no layers out there. */
  static Prompt unwanted(GenerationRequest request) {
    return of(request, request.get(Parameters.NEGATIVE_PROMPT), 0);
  }

  /** A text of a request, that is its words. */
  static Prompt of(GenerationRequest request, String text, int clipSkip) {
    return new Prompt(text, clipSkip, PromptLanguage.PLAIN, RequestedLora.of(request));
  }

  /** A text of a request in the request's language. */
  static Prompt written(GenerationRequest request, String text, int clipSkip) {
    return new Prompt(text, clipSkip, language(request), RequestedLora.of(request));
  }

  static PromptLanguage language(GenerationRequest request) {
    String language = request.get(Parameters.PROMPT_LANGUAGE);
    return language == null ? PromptLanguage.PLAIN : PromptLanguage.named(language).orElseThrow();
  }

  Prompt withText(String other) {
    return new Prompt(other, clipSkip, language, loras);
  }

  Prompt withLoras(List<RequestedLora> others) {
    return new Prompt(text, clipSkip, language, others);
  }
}
