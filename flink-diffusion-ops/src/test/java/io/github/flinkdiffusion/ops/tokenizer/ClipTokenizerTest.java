/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ClipTokenizerTest {
  @TempDir Path folder;

  @BeforeEach
  void writeATokenizer() {
    new BpeTrainer()
        .addAll(List.of("a red apple", "a green apple", "red", "green"))
        .train(50)
        .write(folder, 8);
  }

  private void write(String file, String content) {
    try {
      Files.writeString(folder.resolve(file), content);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void framesPadsAndCutsTheText() {
    ClipTokenizer tokenizer = ClipTokenizer.load(folder);
    int end = tokenizer.vocabularySize() - 1;
    int start = end - 1;
    Tokens one = tokenizer.encode("apple");
    assertThat(one.ids()).hasSize(8).startsWith(start).endsWith(end, end, end, end, end, end);
    int apple = one.ids()[1];
    assertThat(one.truncated()).isFalse();
    assertThat(tokenizer.encode("apple ".repeat(6)))
        .isEqualTo(
            new Tokens(new int[] {start, apple, apple, apple, apple, apple, apple, end}, false));
    assertThat(tokenizer.encode("apple ".repeat(7)))
        .isEqualTo(
            new Tokens(new int[] {start, apple, apple, apple, apple, apple, apple, end}, true));
    assertThat(tokenizer.encode("  ").ids()).startsWith(start, end);
  }

  @Test
  void encodesTextsOfAMillionCharacters() {
    ClipTokenizer tokenizer = ClipTokenizer.load(folder);
    // Each would take minutes if some part of the work grew with the square of the length.
    for (String text :
        List.of(
            "apple".repeat(200_000),
            "apple ".repeat(160_000),
            " ".repeat(1_000_000) + "a",
            "!?".repeat(500_000),
            "a" + "\u0301\u0327".repeat(500_000),
            "<|endoftext".repeat(90_000),
            "\uD800".repeat(1_000_000))) {
      assertThat(tokenizer.encode(text).truncated()).isEqualTo(!text.startsWith(" "));
    }
  }

  @Test
  void takesHalvesOfSurrogatePairsForTheReplacementCharacter() {
    ClipTokenizer tokenizer = ClipTokenizer.load(folder);
    assertThat(tokenizer.encode("\uD83D x")).isEqualTo(tokenizer.encode("\uFFFD x"));
    assertThat(tokenizer.encode("x\uDE00")).isEqualTo(tokenizer.encode("x\uFFFD"));
    assertThat(tokenizer.encode("\uD83D\uDE00")).isNotEqualTo(tokenizer.encode("\uFFFD\uFFFD"));
  }

  @Test
  void isTheSameForSeveralThreads() {
    ClipTokenizer tokenizer = ClipTokenizer.load(folder);
    Tokens expected = tokenizer.encode("a green apple");
    assertThat(
            java.util.stream.IntStream.range(0, 2000)
                .parallel()
                .mapToObj(i -> tokenizer.encode("a green apple"))
                .allMatch(expected::equals))
        .isTrue();
  }

  @ParameterizedTest
  @ValueSource(strings = {"vocab.json", "merges.txt"})
  void namesAMissingFile(String file) throws IOException {
    Files.delete(folder.resolve(file));
    assertThatThrownBy(() -> ClipTokenizer.load(folder))
        .hasMessageContaining(folder.resolve(file).toString());
  }

  @Test
  void needsNoConfig() throws IOException {
    Tokens withConfig = ClipTokenizer.load(folder).encode("a red apple");
    Files.delete(folder.resolve("tokenizer_config.json"));
    Files.delete(folder.resolve("special_tokens_map.json"));
    ClipTokenizer bare = ClipTokenizer.load(folder);
    assertThat(bare.maxLength()).as("CLIP's context").isEqualTo(77);
    assertThat(Arrays.copyOf(bare.encode("a red apple").ids(), 8)).isEqualTo(withConfig.ids());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "a b c|'a b c'; expected two tokens with a space between",
        "ab|'ab'; expected two tokens",
        "a  b|'a  b'; expected two tokens",
        "zz yy|needs the token 'zzyy', which the vocabulary does not have"
      })
  void namesAMalformedMerge(String line, String message) {
    write("merges.txt", "#version: 0.2\n" + line + "\n");
    assertThatThrownBy(() -> ClipTokenizer.load(folder))
        .isInstanceOf(TokenizerException.class)
        .hasMessageContaining(folder.toString())
        .hasMessageContaining(message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{}|is empty",
        "{\"a\": \"b\"}|'a' is \"b\"; supported: a whole number",
        "{\"a\": -1}|'a' is -1; supported: ids from 0",
        "{\"a\": 0}|has neither the token 'Ā' nor the unknown token",
        "[]|not a JSON object",
        "{\"a\": NaN}|'a' is NaN"
      })
  void namesAMalformedVocabulary(String vocabulary, String message) {
    write("vocab.json", vocabulary);
    write("merges.txt", "");
    assertThatThrownBy(() -> ClipTokenizer.load(folder))
        .isInstanceOfAny(TokenizerException.class, WeightsException.class)
        .hasMessageContaining(folder.toString())
        .hasMessageContaining(message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{\"model_max_length\": 1}|'model_max_length' is 1.0; supported: a whole number from 2",
        "{\"model_max_length\": -77}|'model_max_length'",
        "{\"model_max_length\": \"77\"}|'model_max_length' is \"77\"",
        "{\"padding_side\": \"left\"}|'padding_side' is \"left\"; supported: right",
        "{\"truncation_side\": \"left\"}|'truncation_side' is \"left\"; supported: right",
        "{\"split_special_tokens\": true}|'split_special_tokens' is true; supported: false",
        "{\"pad_token\": 7}|'pad_token' is 7; supported: a string",
        "{\"pad_token\": {\"text\": \"x\"}}|'pad_token'",
        "{\"pad_token\": {\"content\": \"x\", \"single_word\": true}}|'pad_token'",
        "{\"added_tokens_decoder\": {\"x\": {\"content\": \"y\"}}}|'x' is {\"content\":\"y\"}; supported: keys that are token ids"
      })
  void namesAMalformedConfig(String config, String message) throws IOException {
    Files.delete(folder.resolve("special_tokens_map.json"));
    write("tokenizer_config.json", config);
    assertThatThrownBy(() -> ClipTokenizer.load(folder))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining(folder.resolve("tokenizer_config.json").toString())
        .hasMessageContaining(message);
  }

  @Test
  void refusesASingleFileThatPadsAtTheLeftUnlessTheConfigSaysRight() {
    write(
        "tokenizer.json",
        "{\"padding\": {\"direction\": \"Left\"}, \"model\": {\"type\": \"BPE\", \"end_of_word_suffix\": \"</w>\","
            + " \"vocab\": {\"a</w>\": 0, \"<|startoftext|>\": 1, \"<|endoftext|>\": 2}, \"merges\": []}}");
    assertThatThrownBy(() -> ClipTokenizer.load(folder))
        .hasMessageContaining("[padding]: 'direction' is \"Left\"; supported: Right");
    write("tokenizer_config.json", "{\"padding_side\": \"right\"}");
    assertThat(ClipTokenizer.load(folder).encode("a").ids()).startsWith(1, 0, 2);
  }

  @Test
  void refusesATokenizerOfAnotherKind() {
    write("tokenizer.json", "{\"model\": {\"type\": \"Unigram\", \"vocab\": []}}");
    assertThatThrownBy(() -> ClipTokenizer.load(folder))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining("Unigram")
        .hasMessageContaining("supported: BPE with end_of_word_suffix </w>");
  }

  @Test
  void readsTransformersUnlimitedLengthAsClipsContext() {
    write("tokenizer_config.json", "{\"model_max_length\": 1000000000000000019884624838656}");
    assertThat(ClipTokenizer.load(folder).maxLength()).isEqualTo(77);
  }
}
