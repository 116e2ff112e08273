/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PromptTokenizerTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures/tokenizer");

  @TempDir private Path temp;

  @Test
  void cutsALongTextAndKeepsItsEndToken() {
    PromptTokenizer tokenizer = PromptTokenizer.t5(FIXTURES.resolve("t5"));
    MaskedTokens cut = tokenizer.encode("the cat's hat", 4);
    assertThat(cut.ids()).endsWith(tokenizer.id("</s>")).hasSize(4);
    assertThat(cut.truncated()).isTrue();
    assertThat(cut.count()).isEqualTo(4);
    assertThat(tokenizer.encode("the cat's hat", 64).truncated()).isFalse();
  }

  @Test
  void padsOnTheSideThatTheFolderSays() {
    MaskedTokens left = PromptTokenizer.qwen2(FIXTURES.resolve("qwen2-two")).encode("cat", 8);
    MaskedTokens right = PromptTokenizer.qwen2(FIXTURES.resolve("qwen2")).encode("cat", 8);
    assertThat(left.mask()[0]).isZero();
    assertThat(left.mask()[7]).isOne();
    assertThat(right.mask()[0]).isOne();
    assertThat(right.mask()[7]).isZero();
    assertThat(left.count()).isEqualTo(right.count());
  }

  /** What another version of transformers would follow, and what no tokenizer here has. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "t5|\"byte_fallback\": false|\"byte_fallback\": true|byte_fallback",
        "t5|\"unk_id\": 2|\"unk_id\": 3|unk_id",
        "t5|\"type\": \"Strip\"|\"type\": \"Lowercase\"|normalizer",
        "t5|\"prepend_scheme\": \"always\"|\"prepend_scheme\": \"first\"|pre_tokenizer",
        "qwen2|\"type\": \"NFC\"|\"type\": \"NFKC\"|normalizer",
        "qwen2|\"use_regex\": false|\"use_regex\": true|pre_tokenizer",
        "qwen2|\"ignore_merges\": false|\"ignore_merges\": true|ignore_merges",
        "gemma|\"fuse_unk\": true|\"fuse_unk\": false|fuse_unk",
        "gemma|\"type\": \"Replace\"|\"type\": \"Nmt\"|normalizer",
      })
  void refusesAnotherWayThanItsClassesByName(String kind, String text, String other, String named)
      throws IOException {
    copy(kind);
    Path json = temp.resolve("tokenizer.json");
    String content = Files.readString(json);
    assertThat(content).contains(text);
    Files.writeString(json, content.replaceFirst(text, other));
    assertThatThrownBy(() -> opener(kind).apply(temp))
        .hasMessageContaining("tokenizer.json")
        .hasMessageContaining(named);
  }

  /** As converters of transformers 5 write it for tokenizers that add no tokens. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "true|{'type': 'TemplateProcessing', 'single': [{'Sequence': {'id': 'A', 'type_id': 0}}]}",
        "true|{'type': 'Sequence', 'processors': [{'type': 'ByteLevel'}]}",
        "false|{'type': 'TemplateProcessing', 'single': []}",
        "false|{'type': 'Sequence', 'processors': [{'type': 'RobertaProcessing'}]}",
      },
      quoteCharacter = '"')
  void takesATemplateOfTheTextAloneAsNone(boolean taken, String template) throws IOException {
    copy("qwen2");
    Path json = temp.resolve("tokenizer.json");
    ObjectMapper mapper = new ObjectMapper();
    ObjectNode file = (ObjectNode) mapper.readTree(json.toFile());
    file.set("post_processor", mapper.readTree(template.replace('\'', '"')));
    mapper.writeValue(json.toFile(), file);
    if (taken) {
      assertThat(PromptTokenizer.qwen2(temp).encode("a cat", 8).ids())
          .isEqualTo(PromptTokenizer.qwen2(FIXTURES.resolve("qwen2")).encode("a cat", 8).ids());
    } else {
      assertThatThrownBy(() -> PromptTokenizer.qwen2(temp)).hasMessageContaining("post_processor");
    }
  }

  @Test
  void namesACorruptModelFile() throws IOException {
    copy("t5-spiece");
    Path model = temp.resolve("spiece.model");
    byte[] bytes = Files.readAllBytes(model);
    Files.write(model, Arrays.copyOf(bytes, bytes.length - 7));
    assertThatThrownBy(() -> PromptTokenizer.t5(temp))
        .isInstanceOf(TokenizerException.class)
        .hasMessageContaining(model.toString());
  }

  private void copy(String kind) throws IOException {
    try (var files = Files.list(FIXTURES.resolve(kind))) {
      for (Path file : files.toList()) {
        Files.copy(file, temp.resolve(file.getFileName()));
      }
    }
  }

  private static Function<Path, PromptTokenizer> opener(String kind) {
    return switch (kind) {
      case "t5" -> PromptTokenizer::t5;
      case "qwen2" -> PromptTokenizer::qwen2;
      default -> PromptTokenizer::gemma;
    };
  }
}
