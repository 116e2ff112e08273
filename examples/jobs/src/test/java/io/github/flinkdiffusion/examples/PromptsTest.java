/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.examples.emoji.EmojiScene;
import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

class PromptsTest {
  private static final List<String> BUILT_IN =
      ModelWords.of(Path.of("../models/mini-emoji")).orElseThrow().prompts();

  @Test
  void thoseThatItsFolderListsAreSixteenDifferentEmojiOnAllColoursHalfOfThemHeldOut() {
    List<EmojiScene> scenes =
        BUILT_IN.stream()
            .map(
                prompt ->
                    EmojiVocabulary.scenes().stream()
                        .filter(scene -> scene.phrasings().contains(prompt))
                        .findFirst()
                        .orElseThrow(() -> new AssertionError("mini-emoji knows no " + prompt)))
            .toList();

    assertThat(scenes).hasSize(16).extracting(EmojiScene::emoji).doesNotHaveDuplicates();
    assertThat(scenes).filteredOn(EmojiVocabulary::isHeldOut).hasSize(8);
    assertThat(scenes)
        .extracting(EmojiScene::background)
        .containsAll(EmojiVocabulary.backgrounds());
    assertThat(BUILT_IN).filteredOn(Prompts::isHeldOut).hasSize(8);
  }

  @Test
  void aSceneIsHeldOutHoweverItsPromptIsWritten() {
    assertThat(Prompts.isHeldOut("a small hamburger on a blue background")).isTrue();
    assertThat(Prompts.isHeldOut(" A small  HAMBURGER on a blue background. ")).isTrue();
    assertThat(Prompts.isHeldOut("a small hamburger on blue")).isTrue();
    assertThat(Prompts.isHeldOut("a large hamburger on a blue background")).isFalse();
    assertThat(Prompts.isHeldOut("a small hamburger on a pink background")).isFalse();
  }
}
