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
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Against the web UI's own parser: {@code src/test/python/make_prompt_fixtures.py}. */
class A1111ParityTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures");
  private static JsonNode cases;

  @BeforeAll
  static void readCases() throws IOException {
    cases = new ObjectMapper().readTree(FIXTURES.resolve("prompts/a1111.json").toFile());
    assertThat(cases.size()).isGreaterThanOrEqualTo(200);
  }

  private static List<WeightedText> weighted(JsonNode pairs) {
    List<WeightedText> texts = new ArrayList<>();
    pairs.forEach(
        pair -> texts.add(new WeightedText(pair.get(0).asText(), pair.get(1).asDouble())));
    return texts;
  }

  @Test
  void eachPartHasItsWeight() {
    SoftAssertions softly = new SoftAssertions();
    for (JsonNode each : cases) {
      String prompt = each.get("prompt").asText();
      softly.assertThat(Attention.parse(prompt)).as(prompt).isEqualTo(weighted(each.get("parts")));
    }
    softly.assertAll();
  }

  @Test
  void promptsThatAreCombinedHaveTheirWeights() {
    SoftAssertions softly = new SoftAssertions();
    for (JsonNode each : cases) {
      String prompt = each.get("prompt").asText();
      softly
          .assertThat(Composition.split(prompt))
          .as(prompt)
          .isEqualTo(weighted(each.get("prompts")));
    }
    softly.assertAll();
  }

  @Test
  void eachStepHasItsText() {
    int refused = 0;
    SoftAssertions softly = new SoftAssertions();
    for (JsonNode each : cases) {
      String prompt = each.get("prompt").asText();
      List<Schedule.Stage> expected = new ArrayList<>();
      each.get("stages")
          .forEach(
              stage ->
                  expected.add(new Schedule.Stage(stage.get(0).asInt(), stage.get(1).asText())));
      try {
        softly.assertThat(Schedule.of(prompt, 10)).as(prompt).isEqualTo(expected);
      } catch (PromptSyntaxException e) {
        assertThat(e).hasMessageContaining("brackets that are not balanced");
        refused++;
      }
    }
    softly.assertAll();
    assertThat(cases.size() - refused).as("compared").isGreaterThanOrEqualTo(200);
  }

  @Test
  void eachTokenOfEachChunkHasItsWeight() {
    ClipTokenizer tokenizer = ClipTokenizer.load(FIXTURES.resolve("models/tiny-sd1/tokenizer"));
    SoftAssertions softly = new SoftAssertions();
    int longest = 0;
    for (JsonNode each : cases) {
      String prompt = each.get("prompt").asText();
      List<PromptChunks.Chunk> chunks = PromptChunks.of(tokenizer, Attention.parse(prompt));
      longest = Math.max(longest, chunks.size());
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
                unrolled(expected.get("weights")).stream().mapToDouble(each1 -> each1).toArray());
      }
    }
    softly.assertAll();
    assertThat(longest).isGreaterThan(3);
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

  @Test
  void whatIsNotANumberIsRefused() {
    assertThatThrownBy(() -> Attention.parse("a (cat:1.2.3)"))
        .isInstanceOf(PromptSyntaxException.class)
        .hasMessageContaining("'1.2.3'");
  }

  @Test
  void whatAPromptCanAskForIsLimited() {
    ClipTokenizer tokenizer = ClipTokenizer.load(FIXTURES.resolve("models/tiny-sd1/tokenizer"));
    assertThatThrownBy(() -> Composition.split("a AND ".repeat(8) + "a"))
        .hasMessageContaining("combines 9 prompts");
    assertThatThrownBy(() -> Schedule.of("[a|b]", 1000))
        .hasMessageContaining("1000 different texts");
    assertThatThrownBy(() -> PromptChunks.of(tokenizer, Attention.parse("a BREAK ".repeat(17))))
        .hasMessageContaining("16 chunks");
  }

  @Test
  void manyBracketsAreRefusedBeforeTheyTakeTimeOrStack() {
    assertThatThrownBy(() -> Schedule.of("[(".repeat(20_000), 10))
        .hasMessageContaining("more than 50 brackets");
    assertThat(Schedule.of("[".repeat(50) + "a".repeat(20_000), 10)).hasSize(1);
    assertThat(Attention.parse("[(".repeat(20_000))).hasSize(1);
  }
}
