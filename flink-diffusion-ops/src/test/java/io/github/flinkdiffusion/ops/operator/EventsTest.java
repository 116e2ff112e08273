/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.Original;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordPosition;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Numbers;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.junit.jupiter.api.Test;

class EventsTest {
  private static final DiffusionSettings SETTINGS =
      DiffusionSettings.of(
          new Configuration()
              .set(DiffusionOptions.DEFAULT_STEPS, 20)
              .set(DiffusionOptions.DEFAULT_WIDTH, 256));

  private static PromptEvent prompt(Map<String, String> parameters) {
    return PromptEvent.newBuilder()
        .setId("1")
        .setPrompt("a cat")
        .setGuidanceScale(3.0)
        .setParameters(parameters)
        .build();
  }

  @Test
  void parametersWithoutAFieldOfTheirOwnAreTakenFromTheMap() {
    assertThat(Events.spec(prompt(Map.of("clipSkip", "1", "originalSize", "9,7")), SETTINGS))
        .isEqualTo(
            GenerationSpec.of("1")
                .with(Parameters.PROMPT, "a cat")
                .with(Parameters.GUIDANCE_SCALE, 3.0)
                .with(Parameters.STEPS, 20L)
                .with(Parameters.WIDTH, 256L)
                .with(Parameters.CLIP_SKIP, 1L)
                .with(Parameters.ORIGINAL_SIZE, new Numbers(9, 7)));
  }

  @Test
  void aListOfTimestepsSaysHowManyStepsThereAreWhateverTheJobsSetting() {
    GenerationSpec spec = Events.spec(prompt(Map.of("timesteps", "900,500,100")), SETTINGS);

    assertThat(spec.arguments().get(Parameters.TIMESTEPS)).isEqualTo(new Numbers(900, 500, 100));
    assertThat(spec.arguments().has(Parameters.STEPS)).isFalse();
  }

  @Test
  void aFieldsParameterMayStandInTheMapAndGoesBeforeTheJobsSetting() {
    GenerationSpec spec = Events.spec(prompt(Map.of("steps", "7", "seed", "4")), SETTINGS);

    assertThat(spec.arguments().get(Parameters.STEPS)).isEqualTo(7);
    assertThat(spec.arguments().get(Parameters.SEED)).isEqualTo(4);
    assertThat(spec.arguments().get(Parameters.WIDTH)).isEqualTo(256);
  }

  @Test
  void aParameterThatIsGivenTwiceIsRefused() {
    assertThatThrownBy(() -> Events.spec(prompt(Map.of("guidanceScale", "3")), SETTINGS))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("The request sets guidanceScale twice");
  }

  @Test
  void aResultKeepsItsRequestAndItsPlaceForTheFailureThatItMayBecome() throws Exception {
    PromptEvent prompt = prompt(Map.of());
    prompt.setOrigin(new RecordPosition("prompts", 3, 17L));
    Original original = Events.original(RequestEvent.of(prompt));

    byte[] bytes = new byte[original.getBytes().remaining()];
    original.getBytes().duplicate().get(bytes);
    assertThat(EventCodec.prompts().decode(bytes)).isEqualTo(prompt);
    assertThat(original.getOrigin()).isEqualTo(prompt.getOrigin());
    assertThat(original.getSize()).isNull();
  }

  @Test
  void aLargeRequestIsKeptInPartWithItsSizeAndDigest() {
    PromptEvent prompt = prompt(Map.of());
    prompt.setPrompt("x".repeat(2 << 20));
    Original original = Events.original(RequestEvent.of(prompt));

    byte[] whole = EventCodec.prompts().encode(prompt);
    assertThat(original.getBytes().remaining()).isEqualTo(1 << 20);
    assertThat(original.getSize()).isEqualTo(whole.length);
    assertThat(original.getSha256()).isEqualTo(Payloads.sha256(whole));
  }
}
