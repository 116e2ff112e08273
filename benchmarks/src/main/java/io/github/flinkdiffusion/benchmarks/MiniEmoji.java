/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The trained model that comes with the project, and requests to it of one row each. */
final class MiniEmoji {
  private static final String PROMPT = "a large red apple on a blue background";
  static final double NO_GUIDANCE = 1;

  private MiniEmoji() {}

  static Path folder() {
    return RunOptions.home().resolve("examples/models/mini-emoji");
  }

  static GenerationSpec spec(String id, int steps) {
    return GenerationSpec.of(id)
        .with(Parameters.PROMPT, PROMPT)
        .with(Parameters.STEPS, (long) steps)
        .with(Parameters.GUIDANCE_SCALE, NO_GUIDANCE);
  }

  static GenerationSpec spec(String id, int steps, int size) {
    return spec(id, steps).with(Parameters.WIDTH, (long) size).with(Parameters.HEIGHT, (long) size);
  }

  static PromptEvent event(String id, int steps) {
    return PromptEvent.newBuilder()
        .setId(id)
        .setPrompt(PROMPT)
        .setSteps(steps)
        .setGuidanceScale(NO_GUIDANCE)
        .build();
  }

  /** Prompts that are spread over the vocabulary. */
  static List<String> prompts(int requests) throws IOException {
    JsonNode groups =
        new ObjectMapper().readTree(folder().resolve("vocabulary.json").toFile()).get("groups");
    JsonNode nouns = groups.get("nouns");
    JsonNode colors = groups.get("background colors");
    List<String> prompts = new ArrayList<>();
    for (int i = 0; i < requests; i++) {
      prompts.add(
          "a %s %s on a %s background"
              .formatted(
                  i % 2 == 0 ? "large" : "small",
                  nouns.get(i % nouns.size()).asText(),
                  colors.get(i * 3 % colors.size()).asText()));
    }
    return prompts;
  }
}
