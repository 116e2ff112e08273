/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.image.Raster;
import java.util.List;
import java.util.Map;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.Size;

class ArgumentsTest {

  @Example
  void textsBecomeValuesOfTheirParametersTypes() {
    assertThat(
            Arguments.parse(
                Map.of(
                    "clipSkip", " 2 ",
                    "eta", "0.5",
                    "timesteps", "900, 400,1e1",
                    "originalSize", "512x768",
                    "useClippedModelOutput", "true",
                    "prompt2", " a text keeps its spaces ")))
        .isEqualTo(
            Arguments.NONE
                .with(Parameters.CLIP_SKIP, 2L)
                .with(Parameters.ETA, 0.5)
                .with(Parameters.TIMESTEPS, new Numbers(900, 400, 10))
                .with(Parameters.ORIGINAL_SIZE, new Numbers(512, 768))
                .with(Parameters.USE_CLIPPED_MODEL_OUTPUT, 1L)
                .with(Parameters.PROMPT_2, " a text keeps its spaces "));
  }

  @Example
  void whatIsNoParameterIsRefusedWithThoseThatThereAre() {
    assertThatThrownBy(() -> Arguments.parse(Map.of("clip_skip", "2")))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining(
            "There is no parameter 'clip_skip' (did you mean 'clipSkip'?); there are prompt, ")
        .hasMessageContaining("clipSkip")
        .hasMessageNotContaining("mask");
  }

  @Example
  void aTextThatStandsForNoValueIsRefusedWithWhatIsAccepted() {
    assertThatThrownBy(() -> Arguments.parse(Map.of("clipSkip", "two")))
        .hasMessage("clipSkip is 'two'; it must be a whole number from 0.");
    assertThatThrownBy(() -> Arguments.parse(Map.of("sigmas", "3,,1")))
        .hasMessage("sigmas is '3,,1'; it must be falling numbers of 0 or more.");
    assertThatThrownBy(() -> Arguments.parse(Map.of("steps", "9".repeat(1000))))
        .hasMessageStartingWith("steps is '999")
        .hasMessageContaining("...'; it must be a whole number.");
  }

  @Example
  void aPictureIsNoText() {
    assertThatThrownBy(() -> Arguments.parse(Map.of("image", "cat.png")))
        .hasMessage("image is an image and cannot be set as a text.");
    assertThatThrownBy(() -> Parameters.IMAGE.format(Raster.filled(1, 1, 1, 0)))
        .hasMessage("image is an image and cannot be written as a text.");
  }

  @Example
  void theDigestDependsNeitherOnTheOrderNorOnTheHistoryOfArguments() {
    Raster image = new Raster(1, 1, 2, new float[] {0.25f, 0.5f});
    Arguments asked =
        Arguments.NONE
            .with(Parameters.PROMPT, "a cat")
            .with(Parameters.STEPS, 4L)
            .with(Parameters.ETA, 0.5)
            .with(Parameters.SIGMAS, new Numbers(3, 1))
            .with(Parameters.IMAGE, image);
    Arguments otherwise =
        Arguments.NONE
            .with(Parameters.IMAGE, new Raster(1, 1, 2, new float[] {0.25f, 0.5f}))
            .with(Parameters.SIGMAS, new Numbers(3, 1))
            .with(Parameters.ETA, 0.1)
            .with(Parameters.STEPS, 4L)
            .with(Parameters.ETA, 0.5)
            .with(Parameters.PROMPT, "a cat");
    assertThat(otherwise.digest()).isEqualTo(asked.digest()).matches("[0-9a-f]{64}");
  }

  @Example
  void theDigestDependsOnEveryNameAndValue() {
    Raster image = new Raster(1, 2, 2, new float[] {0, 0.25f, 0.5f, 1});
    Arguments asked = Arguments.NONE.with(Parameters.PROMPT, "a cat").with(Parameters.IMAGE, image);
    assertThat(
            List.of(
                asked.digest(),
                asked.with(Parameters.PROMPT, "a dog").digest(),
                asked.without(Parameters.PROMPT).digest(),
                asked.without(Parameters.PROMPT).with(Parameters.PROMPT_2, "a cat").digest(),
                asked.with(Parameters.STEPS, 1L).digest(),
                asked.with(Parameters.STEPS, 2L).digest(),
                asked.with(Parameters.ETA, 1.0).digest(),
                asked.with(Parameters.SIGMAS, new Numbers(3, 1)).digest(),
                asked.with(Parameters.SIGMAS, new Numbers(3, 2)).digest(),
                asked.with(Parameters.IMAGE, image(0, 0.25f, 0.5f, 0.75f)).digest(),
                asked.with(Parameters.IMAGE, new Raster(1, 1, 4, image.data())).digest(),
                asked.without(Parameters.IMAGE).with(Parameters.MASK, image).digest()))
        .doesNotHaveDuplicates();
  }

  private static Raster image(float... values) {
    return new Raster(1, 2, 2, values);
  }

  @Property(tries = 200)
  void whatIsWrittenIsReadBack(
      @ForAll String text,
      @ForAll long whole,
      @ForAll double number,
      @ForAll @Size(min = 1, max = 5) double[] numbers) {
    assertThat(Parameters.PROMPT.parse(Parameters.PROMPT.format(text))).isEqualTo(text);
    assertThat(Parameters.SEED.parse(Parameters.SEED.format(whole))).isEqualTo(whole);
    assertThat(Parameters.ETA.parse(Parameters.ETA.format(number))).isEqualTo(number);
    Numbers list = new Numbers(numbers);
    assertThat(Parameters.SIGMAS.parse(Parameters.SIGMAS.format(list))).isEqualTo(list);
  }
}
