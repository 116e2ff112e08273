/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.pipeline.GeneratedText;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.serving.GenerationService;
import java.util.Locale;

/** A function whose model writes a text. */
abstract class TextFunction extends ImageFunction<String> {
  private static final long serialVersionUID = 1L;

  private final String function;

  TextFunction(String name, FunctionSettings settings) {
    super(name, settings);
    this.function = name;
  }

  @Override
  final String value(GenerationService service, Answer answer) {
    return answer
        .first()
        .text()
        .map(GeneratedText::text)
        .orElseThrow(
            () ->
                new InvalidRequestException(
                    "The model %s of %s does not write texts; set '%s.model.folder' to a model that does, such as BLIP."
                        .formatted(
                            answer.audit().model(), function, function.toLowerCase(Locale.ROOT))));
  }
}
