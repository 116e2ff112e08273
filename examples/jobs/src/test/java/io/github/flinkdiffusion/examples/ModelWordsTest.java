/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which words of a prompt a model does not know. */
class ModelWordsTest {
  private static final ModelWords MINI_EMOJI =
      ModelWords.of(Path.of("../models/mini-emoji")).orElseThrow();

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          a small crown on a blue background             |
          A LARGE ROBOT ON A BLUE BACKGROUND             |
          rainbow on white                               |
          a large ice cream, on gray!                    |
          a green apple on a pink background             | pink
          two cats on a yellow background                | two cats
          a medium strawberry on a blue background       | medium
          a strawberry and a banana on a blue background | and
          a rocket without flames on a blue sky          | without flames sky
          a photo of an astronaut riding a horse         | photo of astronaut riding horse
          a big red apple on a blue background           | big
          a cat above a house                            | above
          three stars on a dark background               | three stars dark
          a well-known cat's face, 3 times, 3 times      | well-known cat's 3 times
          ein Bär                                        | ein bär
          """)
  void namesEachWordThatMiniEmojiWasNotTrainedWith(String prompt, String words) {
    assertThat(MINI_EMOJI.unknown(prompt))
        .containsExactlyElementsOf(words == null ? List.of() : List.of(words.split(" ")));
  }

  @Test
  void aModelThatDoesNotSayKnowsNobodyKnowsWhat(@TempDir Path folder) {
    assertThat(ModelWords.of(folder)).isEmpty();
  }

  @Test
  void aFileThatIsNotUnderstoodIsRefusedByName(@TempDir Path folder) throws Exception {
    Path file = Files.writeString(folder.resolve("vocabulary.json"), "{}");
    assertThatThrownBy(() -> ModelWords.of(folder))
        .isInstanceOf(DemoException.class)
        .hasMessageContaining(file.toString())
        .hasMessageContaining("groups");
    Files.writeString(file, "[");
    assertThatThrownBy(() -> ModelWords.of(folder))
        .isInstanceOf(DemoException.class)
        .hasMessageContaining(file.toString());
  }
}
