/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.prompt.NetworkTags;
import io.github.flinkdiffusion.ops.prompt.PromptLanguage;
import io.github.flinkdiffusion.ops.prompt.PromptSyntaxException;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** LoRAs that a prompt in A1111's language names. */
final class PromptLoras {
  private PromptLoras() {}

  /**
   * The request with {@code <lora:name:0.8>} of its prompt among its {@link Parameters#LORAS}.
   *
   * @param allowed whether the job has LoRAs that requests may name
   * @throws InvalidRequestException for what the web UI would not read so
   */
  static GenerationRequest moved(GenerationRequest request, boolean allowed) {
    if (Prompt.language(request) != PromptLanguage.A1111) {
      return request;
    }
    String prompt = request.get(Parameters.PROMPT);
    NetworkTags tags;
    try {
      tags = NetworkTags.of(prompt);
    } catch (PromptSyntaxException e) {
      throw new InvalidRequestException(e.getMessage(), e);
    }
    if (tags.loras().isEmpty()) {
      return request;
    }
    if (!allowed) {
      throw new InvalidRequestException(
          "The prompt names the LoRA '%s', but this job allows none. List it in diffusion.loras.allowed, or take it out of the prompt."
              .formatted(Parameter.shown(tags.loras().get(0).name())));
    }
    String own = request.get(Parameters.LORAS);
    String all =
        Stream.concat(
                Stream.ofNullable(own),
                tags.loras().stream().map(each -> each.name() + ":" + each.scale()))
            .collect(Collectors.joining(","));
    Arguments arguments =
        request.arguments().with(Parameters.PROMPT, tags.text()).with(Parameters.LORAS, all);
    // Its default is the prompt.
    if (prompt.equals(request.get(Parameters.PROMPT_2))) {
      arguments = arguments.with(Parameters.PROMPT_2, tags.text());
    }
    return new GenerationRequest(request.id(), arguments);
  }
}
