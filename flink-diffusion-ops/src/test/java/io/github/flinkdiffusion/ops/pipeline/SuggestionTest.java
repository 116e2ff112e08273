/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.scheduler.Schedulers;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SuggestionTest {
  private static final List<String> PARAMETERS =
      Parameters.all().stream().map(Parameter::name).toList();

  @ParameterizedTest
  @CsvSource({
    "cfgScale, guidanceScale",
    "CFG Scale, guidanceScale",
    "guidence_scale, guidanceScale",
    "negative_prompt, negativePrompt",
    "num_inference_steps, steps",
    "stepps, steps",
    "sampler_name, scheduler",
    "lora, loras",
    "controlnet_conditioning_scale, controlnetConditioningScale",
  })
  void parametersAreFoundByTheNamesOfOtherProgramsAndWithMisspellings(
      String written, String meant) {
    assertThat(Suggestion.of(written, PARAMETERS)).isEqualTo(" (did you mean '" + meant + "'?)");
  }

  @ParameterizedTest
  @CsvSource({
    "Euler, EulerDiscreteScheduler",
    "euler_a, EulerAncestralDiscreteScheduler",
    "DPM++ 2M, DPMSolverMultistepScheduler",
    "ddim, DDIMScheduler",
    "UniPC, UniPCMultistepScheduler",
    "EulerDiscreteSheduler, EulerDiscreteScheduler",
  })
  void schedulersAreFoundByWhatPeopleCallThem(String written, String meant) {
    assertThat(Suggestion.of(written, Schedulers.supported()))
        .isEqualTo(" (did you mean '" + meant + "'?)");
  }

  @ParameterizedTest
  @CsvSource({"wallpaper", "''", "???"})
  void nothingIsSuggestedForWhatIsNearToNothing(String written) {
    assertThat(Suggestion.of(written, PARAMETERS)).isEmpty();
    assertThat(Suggestion.of("scale".repeat(100_000), PARAMETERS)).isEmpty();
  }
}
