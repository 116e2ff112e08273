/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.prompt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.tokenizer.ClipTokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.assertj.core.api.SoftAssertions;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Against Compel's own parser: {@code src/test/python/make_compel_fixtures.py}. */
class CompelParityTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures");
  private static JsonNode cases;

  @BeforeAll
  static void readCases() throws IOException {
    cases = new ObjectMapper().readTree(FIXTURES.resolve("prompts/compel.json").toFile());
  }

  private static List<Double> doubles(JsonNode values) {
    List<Double> all = new ArrayList<>();
    values.forEach(each -> all.add(each.asDouble()));
    return all;
  }

  /** Of products of weights, the last bits may differ. */
  private static WeightedText rounded(WeightedText text) {
    return new WeightedText(text.text(), Math.round(text.weight() * 1e9) / 1e9);
  }

  private static List<CompelPrompt.Part> rounded(List<CompelPrompt.Part> parts) {
    return parts.stream()
        .map(
            part ->
                new CompelPrompt.Part(
                    part.weight(),
                    part.texts().stream()
                        .map(text -> text.stream().map(CompelParityTest::rounded).toList())
                        .toList(),
                    part.shares(),
                    part.normalized()))
        .toList();
  }

  private static List<CompelPrompt.Part> expected(JsonNode parts) {
    List<CompelPrompt.Part> all = new ArrayList<>();
    for (JsonNode part : parts) {
      List<List<WeightedText>> texts = new ArrayList<>();
      for (JsonNode text : part.get("texts")) {
        List<WeightedText> own = new ArrayList<>();
        text.forEach(
            pair -> own.add(new WeightedText(pair.get(0).asText(), pair.get(1).asDouble())));
        texts.add(own);
      }
      all.add(
          new CompelPrompt.Part(
              part.get("weight").asDouble(),
              texts,
              doubles(part.get("shares")),
              part.get("normalized").asBoolean()));
    }
    return rounded(all);
  }

  @Test
  void eachTextHasItsWeight() {
    int compared = 0;
    SoftAssertions softly = new SoftAssertions();
    for (JsonNode each : cases) {
      String prompt = each.get("prompt").asText();
      List<CompelPrompt.Part> parts;
      try {
        parts = rounded(CompelPrompt.parse(prompt).parts());
      } catch (PromptSyntaxException e) {
        softly.assertThat(each.get("parts").isNull()).as(prompt + ": " + e.getMessage()).isTrue();
        continue;
      }
      softly.assertThat(parts).as(prompt).isEqualTo(expected(each.get("parts")));
      compared++;
    }
    softly.assertAll();
    assertThat(compared).isGreaterThanOrEqualTo(200);
  }

  @Test
  void eachTokenOfEachChunkHasItsWeight() {
    ClipTokenizer tokenizer = ClipTokenizer.load(FIXTURES.resolve("models/tiny-sd1/tokenizer"));
    SoftAssertions softly = new SoftAssertions();
    int longest = 0;
    int compared = 0;
    for (JsonNode each : cases) {
      if (each.get("parts").isNull()) {
        continue;
      }
      String prompt = each.get("prompt").asText();
      List<PromptChunks.Chunk> chunks =
          CompelChunks.of(tokenizer, CompelPrompt.parse(prompt).parts().get(0).texts().get(0))
              .chunks();
      longest = Math.max(longest, chunks.size());
      compared++;
      softly.assertThat(chunks).as(prompt).hasSameSizeAs(each.get("chunks"));
      for (int i = 0; i < Math.min(chunks.size(), each.get("chunks").size()); i++) {
        JsonNode expected = each.get("chunks").get(i);
        softly
            .assertThat(chunks.get(i).ids())
            .as("ids of chunk %d of %s", i, prompt)
            .containsExactly(
                unrolled(expected.get("ids")).stream().mapToInt(Double::intValue).toArray());
        softly
            .assertThat(chunks.get(i).weights())
            .as("weights of chunk %d of %s", i, prompt)
            .containsExactly(
                unrolled(expected.get("weights")).stream().mapToDouble(value -> value).toArray(),
                Offset.offset(1e-5));
      }
    }
    softly.assertAll();
    assertThat(longest).isGreaterThan(3);
    assertThat(compared).isGreaterThanOrEqualTo(200);
  }

  private static List<Double> unrolled(JsonNode runs) {
    List<Double> values = new ArrayList<>();
    for (JsonNode run : runs) {
      for (int i = 0; i < run.get(1).asInt(); i++) {
        values.add(run.get(0).asDouble());
      }
    }
    return values;
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      quoteCharacter = '\'',
      value = {
        "a cat.swap(dog) at night; .swap(...), which is not supported",
        "a cat withLora(style, 0.8); Name LoRAs in the parameter loras",
        "withLora(style) a cat; Name LoRAs in the parameter loras",
        "(\"a\", \"b\").and() c; 'c' behind .and(...)",
        "(\"a\", \"b\").and(1); 2 texts and 1 weights in .and(...)",
        "(\"a\", \"b\").and(x, y); 'x' in .and(...)",
        "(); brackets without a text"
      })
  void whatIsNoEncodingIsRefused(String prompt, String message) {
    assertThatThrownBy(() -> CompelPrompt.parse(prompt))
        .isInstanceOf(PromptSyntaxException.class)
        .hasMessageContaining(message);
  }

  @Test
  void whatAPromptCanAskForIsLimited() {
    ClipTokenizer tokenizer = ClipTokenizer.load(FIXTURES.resolve("models/tiny-sd1/tokenizer"));
    assertThatThrownBy(() -> CompelPrompt.parse("(".repeat(60) + "a" + ")".repeat(60)))
        .isInstanceOf(PromptSyntaxException.class)
        .hasMessageContaining("more than 50 deep");
    assertThat(CompelPrompt.parse("(".repeat(40) + "a" + ")+".repeat(40)).parts()).hasSize(1);
    assertThatThrownBy(() -> CompelPrompt.parse("(" + "\"a\", ".repeat(16) + "\"a\").and()"))
        .isInstanceOf(PromptSyntaxException.class)
        .hasMessageContaining("more than 16 texts");
    assertThatThrownBy(
            () -> CompelChunks.of(tokenizer, List.of(new WeightedText("word ".repeat(1300), 1))))
        .isInstanceOf(PromptSyntaxException.class)
        .hasMessageContaining("more than 16 chunks");
  }
}
