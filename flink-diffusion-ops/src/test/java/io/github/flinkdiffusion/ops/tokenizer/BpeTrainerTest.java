/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BpeTrainerTest {
  @TempDir Path folder;

  @Test
  void learnsTheMostFrequentPairFirstAndTheAlphabeticallyFirstOfEquals() {
    BpeVocabulary vocabulary = new BpeTrainer().addAll(List.of("abab", "ab", "cd")).train(10);
    assertThat(vocabulary.merges()).containsExactly("a b</w>", "a b", "ab ab</w>", "c d</w>");
    assertThat(vocabulary.size()).isEqualTo(512 + 4 + 2);
    assertThat(vocabulary.tokens())
        .startsWith("!", "\"")
        .endsWith("cd</w>", "<|startoftext|>", "<|endoftext|>");
  }

  @Test
  void learnsNoMoreThanAsked() {
    assertThat(new BpeTrainer().add("astronaut riding a horse").train(3).merges()).hasSize(3);
    assertThat(new BpeTrainer().train(3)).isEqualTo(new BpeTrainer().add("a").train(0));
  }

  @Test
  void givesTheSameForTheSameTextsInAnyOrder() throws IOException {
    List<String> texts = List.of("Red apple!", "green  apple", "RED cherry", "café ½");
    BpeVocabulary one = new BpeTrainer().addAll(texts).train(40);
    BpeVocabulary two =
        new BpeTrainer()
            .add(texts.get(3))
            .add(texts.get(1))
            .add(texts.get(0))
            .add(texts.get(2))
            .train(40);
    assertThat(two).isEqualTo(one);
    one.write(folder.resolve("1"), 16);
    two.write(folder.resolve("2"), 16);
    for (String file :
        List.of("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")) {
      assertThat(folder.resolve("1").resolve(file))
          .hasSameBinaryContentAs(folder.resolve("2").resolve(file));
      assertThat(Files.size(folder.resolve("1").resolve(file))).isPositive();
    }
  }

  @Test
  void givesEachKnownWordOneTokenAndEveryTextSome() {
    BpeVocabulary vocabulary =
        new BpeTrainer().addAll(List.of("red apple", "green apple", "a cherry")).train(100);
    vocabulary.write(folder, 24);
    ClipTokenizer tokenizer = ClipTokenizer.load(folder);
    assertThat(tokenizer.maxLength()).isEqualTo(24);
    assertThat(tokenizer.vocabularySize()).isEqualTo(vocabulary.size());
    assertThat(words(vocabulary, tokenizer.encode("A green CHERRY")))
        .containsExactly("a</w>", "green</w>", "cherry</w>");
    assertThat(words(vocabulary, tokenizer.encode("apples, 山")))
        .startsWith("appl")
        .endsWith("±</w>")
        .contains("s</w>");
  }

  private static List<String> words(BpeVocabulary vocabulary, Tokens tokens) {
    int end = vocabulary.size() - 1;
    return Arrays.stream(tokens.ids())
        .skip(1)
        .takeWhile(id -> id != end)
        .mapToObj(vocabulary.tokens()::get)
        .toList();
  }
}
