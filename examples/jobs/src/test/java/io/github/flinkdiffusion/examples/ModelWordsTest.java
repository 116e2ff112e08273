/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

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
          a red 🦄, a 👍🏽                                       | 🦄 👍🏽
          a small cat face ≤ 100 % on blue!           | 100
          """)
  void namesEachWordThatMiniEmojiWasNotTrainedWith(String prompt, String words) {
    assertThat(MINI_EMOJI.unknown(prompt))
        .containsExactlyElementsOf(words == null ? List.of() : List.of(words.split(" ")));
  }

  @Test
  void aPartOfAnEntryIsNamedWithTheEntry() {
    assertThat(MINI_EMOJI.parts("a cat on a green apple"))
        .isEqualTo(Map.of("cat", List.of("cat face"), "apple", List.of("red apple")));
    assertThat(MINI_EMOJI.parts("a cat face on a red background")).isEmpty();
    assertThat(MINI_EMOJI.parts("a face").get("face")).contains("cat face", "tiger face");
  }

  private static String without(Set<String> phrases, String prompt) {
    String rest = " " + prompt + " ";
    for (String phrase : phrases) {
      rest = rest.replace(" " + phrase + " ", " ");
    }
    return rest.strip();
  }

  static Stream<Path> embeddedModelsWithWords() throws IOException {
    try (Stream<Path> models = Files.list(Path.of("../models"))) {
      List<Path> withWords =
          models.filter(model -> Files.exists(model.resolve(ModelWords.FILE))).toList();
      assertThat(withWords).contains(Path.of("../models/mini-emoji"));
      return withWords.stream();
    }
  }

  /** Prompts as newcomers type them; a model that is added later is asked, too. */
  @ParameterizedTest
  @MethodSource("embeddedModelsWithWords")
  void everyUnknownWordOfPromptsOfNewcomersIsNamed(Path model) throws IOException {
    Set<String> known = new HashSet<>();
    Set<String> phrases = new HashSet<>();
    new ObjectMapper()
        .readTree(model.resolve(ModelWords.FILE).toFile())
        .path("groups")
        .forEach(
            group ->
                group.forEach(
                    entry -> {
                      known.addAll(List.of(entry.asText().split(" ")));
                      phrases.add(entry.asText());
                    }));
    ModelWords words = ModelWords.of(model).orElseThrow();
    List<String> prompts = Files.readAllLines(Path.of("src/test/resources/prompts.txt"));
    assertThat(prompts).hasSize(28);

    for (String prompt : prompts) {
      assertThat(words.unknown(prompt))
          .as(prompt)
          .containsExactlyInAnyOrderElementsOf(
              Stream.of(without(phrases, prompt.toLowerCase(Locale.ROOT)).split(" "))
                  .filter(word -> !word.isEmpty() && !known.contains(word))
                  .collect(Collectors.toSet()));
    }
    assertThat(prompts).anyMatch(prompt -> !words.unknown(prompt).isEmpty());
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

  @Test
  void aFileMaySayWhichGuidanceSuitsTheModelAndWhatToAskItFor(@TempDir Path folder)
      throws Exception {
    Path file = folder.resolve("vocabulary.json");
    String groups = "{\"form\": \"a NOUN\", \"groups\": {\"nouns\": [\"tree\"]}";
    Files.writeString(file, groups + "}");
    assertThat(ModelWords.of(folder).orElseThrow().guidance()).isEmpty();
    assertThat(ModelWords.of(folder).orElseThrow().prompts()).isEmpty();

    Files.writeString(file, groups + ", \"guidance\": 3.5, \"prompts\": [\"a tree\"]}");
    assertThat(ModelWords.of(folder).orElseThrow().guidance()).hasValue(3.5);
    assertThat(ModelWords.of(folder).orElseThrow().prompts()).containsExactly("a tree");

    for (String wrong : List.of("0.5", "\"3\"", "null")) {
      Files.writeString(file, groups + ", \"guidance\": " + wrong + "}");
      assertThatThrownBy(() -> ModelWords.of(folder))
          .isInstanceOf(DemoException.class)
          .hasMessageContaining("\"guidance\" is " + wrong)
          .hasMessageContaining(file.toString());
    }
  }
}
