/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.emoji;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary.Background;
import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary.Emoji;
import java.util.HashSet;
import java.util.List;
import org.junit.jupiter.api.Test;

class EmojiVocabularyTest {

  @Test
  void namesAndFilesAreEachUsedOnce() {
    assertThat(EmojiVocabulary.emoji()).hasSize(60);
    assertThat(EmojiVocabulary.emoji()).extracting(Emoji::name).doesNotHaveDuplicates();
    assertThat(EmojiVocabulary.emoji()).extracting(Emoji::file).doesNotHaveDuplicates();
    assertThat(EmojiVocabulary.backgrounds()).extracting(Background::name).doesNotHaveDuplicates();
  }

  @Test
  void aTenthOfTheScenesIsHeldOutAndTheOthersShowEveryEmojiColourAndSize() {
    List<EmojiScene> training = EmojiVocabulary.trainingScenes();
    List<EmojiScene> heldOut = EmojiVocabulary.heldOutScenes();

    assertThat(heldOut).hasSize(96);
    assertThat(training).hasSize(864).doesNotContainAnyElementsOf(heldOut);
    assertThat(new HashSet<>(EmojiVocabulary.scenes())).hasSize(960);
    for (Emoji emoji : EmojiVocabulary.emoji()) {
      List<EmojiScene> shown = training.stream().filter(s -> s.emoji().equals(emoji)).toList();
      assertThat(shown)
          .extracting(EmojiScene::background)
          .containsAll(EmojiVocabulary.backgrounds());
      assertThat(shown).extracting(EmojiScene::size).contains(EmojiSize.values());
    }
  }

  @Test
  void noTwoScenesAreAskedForWithTheSameWords() {
    assertThat(EmojiVocabulary.scenes().stream().flatMap(scene -> scene.phrasings().stream()))
        .doesNotHaveDuplicates();
  }

  @Test
  void everyWordOfEveryPhrasingIsInTheWordList() {
    assertThat(EmojiVocabulary.scenes().stream().flatMap(scene -> scene.phrasings().stream()))
        .allSatisfy(phrasing -> assertThat(EmojiVocabulary.words()).contains(phrasing.split(" ")));
    assertThat(EmojiVocabulary.words()).doesNotHaveDuplicates();
  }
}
