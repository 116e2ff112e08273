/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.serving.ModelList;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PromptNotesTest {
  private final PromptNotes notes =
      new PromptNotes(Map.of(ModelList.DEFAULT, Path.of("../models/mini-emoji")));

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          plain | a (red:1.3) heart              | 1 3
          a1111 | a (red:1.3) heart              |
          a1111 | a [small] house BREAK on blue  |
          a1111 | a [red:blue:0.5] heart         |
          a1111 | a heart AND a pink star :0.7   | pink
          a1111 | a ((shiny:1.2)) [[heart]]      | shiny
          a1111 | a [[red:blue:0.5] heart        | 0 5
          """)
  void whatAPromptsLanguageWritesBetweenWordsIsNoWord(
      String language, String prompt, String words) {
    PromptEvent event =
        PromptEvent.newBuilder()
            .setId("p")
            .setPrompt(prompt)
            .setParameters(Map.of("promptLanguage", language))
            .build();
    assertThat(notes.unknown(event))
        .containsExactlyElementsOf(words == null ? List.of() : List.of(words.split(" ")));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          plain  | a (red heart                    |
          a1111  | a ((red) heart)                 |
          a1111  | a \\(red heart                  |
          a1111  | a ((red:1.3) heart on blue      | ((red:1.3) heart on ...
          a1111  | a [red heart                    | [red heart
          a1111  | a (red] heart) on blue          | ] heart) on blue
          compel | a (red heart on blue            | (red heart on blue
          compel | a heart) on blue                | ) on blue
          compel | a (heart)+ [on blue             |
          """)
  void aBracketWithoutItsPartnerIsNamed(String language, String prompt, String from) {
    PromptEvent event =
        PromptEvent.newBuilder()
            .setId("p")
            .setPrompt(prompt)
            .setParameters(Map.of("promptLanguage", language))
            .build();
    assertThat(notes.lines(event).stream().filter(line -> line.contains("partner")))
        .hasSize(from == null ? 0 : 1)
        .allSatisfy(line -> assertThat(line).contains("partner, at \"" + from + "\": "));
  }

  @ParameterizedTest
  @CsvSource({
    "mini-emoji, true, false",
    "mini-emoji-2, false, true",
    "another, false, false",
  })
  void anEmbeddedModelKnowsWhatWasHeldOutOfItsOwnTraining(
      String model, boolean hamburger, boolean soccerBall, @TempDir Path folder) {
    PromptNotes ofModel = new PromptNotes(Map.of(ModelList.DEFAULT, folder.resolve(model)));
    assertThat(ofModel.isUnseen(prompt("a small hamburger on a blue background")))
        .isEqualTo(hamburger);
    assertThat(ofModel.isUnseen(prompt("a large soccer ball on a green background")))
        .isEqualTo(soccerBall);
  }

  private static PromptEvent prompt(String text) {
    return PromptEvent.newBuilder().setId("p").setPrompt(text).build();
  }

  @Test
  void promptsThatAnImageIsMixedWithAreLookedAt() {
    PromptEvent event =
        PromptEvent.newBuilder()
            .setId("p")
            .setPrompt("a heart")
            .setParameters(
                Map.of("variationPrompt", "a bicycle", "sourcePrompt", "a cat on a couch"))
            .build();
    assertThat(notes.unknown(event)).containsExactly("bicycle", "couch");
    assertThat(notes.lines(event))
        .containsExactly(
            "mini-emoji does not know bicycle, couch of \"a heart\"",
            "mini-emoji knows cat of \"a heart\" only in: cat face");
  }
}
