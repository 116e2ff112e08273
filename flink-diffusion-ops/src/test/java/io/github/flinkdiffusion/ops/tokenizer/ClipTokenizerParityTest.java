/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.assertj.core.api.SoftAssertions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Against the ids that transformers' CLIPTokenizer gave: {@code
 * src/test/python/make_tokenizer_fixtures.py}.
 */
class ClipTokenizerParityTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Path FIXTURES = fixtures();
  private static JsonNode cases;
  @TempDir Path folder;

  private static Path fixtures() {
    try {
      return Path.of(ClipTokenizerParityTest.class.getResource("/fixtures").toURI());
    } catch (URISyntaxException e) {
      throw new AssertionError(e);
    }
  }

  @BeforeAll
  static void readCases() throws IOException {
    cases = JSON.readTree(FIXTURES.resolve("tokenizer/cases.json").toFile());
    assertThat(cases.get("texts").size()).isGreaterThan(150);
  }

  static List<String> variants() throws IOException {
    readCases();
    List<String> names = new ArrayList<>();
    cases.get("variants").forEach(variant -> names.add(variant.get("name").textValue()));
    assertThat(names).hasSize(9);
    return names;
  }

  @ParameterizedTest
  @MethodSource("variants")
  void givesTheIdsOfTransformers(String name) throws IOException {
    JsonNode variant = null;
    for (JsonNode candidate : cases.get("variants")) {
      variant = candidate.get("name").textValue().equals(name) ? candidate : variant;
    }
    writeFolder(variant);
    ClipTokenizer tokenizer = ClipTokenizer.load(folder);
    int length = variant.get("length").intValue();
    assertThat(tokenizer.maxLength()).isEqualTo(length);
    Set<Integer> truncated = new HashSet<>();
    variant.get("truncated").forEach(number -> truncated.add(number.intValue()));
    SoftAssertions all = new SoftAssertions();
    for (int i = 0; i < cases.get("texts").size(); i++) {
      JsonNode text = cases.get("texts").get(i);
      int[] ids = JSON.treeToValue(variant.get("ids").get(i), int[].class);
      int[] padded = Arrays.copyOf(ids, length);
      Arrays.fill(padded, ids.length, length, variant.get("pad").intValue());
      all.assertThat(
              tokenizer.encode(text.get("text").textValue().repeat(text.get("times").intValue())))
          .as("%s", text)
          .isEqualTo(new Tokens(padded, truncated.contains(i)));
    }
    all.assertAll();
  }

  private void writeFolder(JsonNode variant) throws IOException {
    for (String file : new String[] {"tokenizer_config", "special_tokens_map", "added_tokens"}) {
      if (variant.hasNonNull(file)) {
        JSON.writeValue(folder.resolve(file + ".json").toFile(), variant.get(file));
      }
    }
    if (variant.has("tokenizer_json")) {
      JSON.writeValue(folder.resolve("tokenizer.json").toFile(), variant.get("tokenizer_json"));
      return;
    }
    ObjectNode vocabulary =
        (ObjectNode) JSON.readTree(FIXTURES.resolve("tokenizer/vocab.json").toFile());
    variant.path("drop").forEach(token -> vocabulary.remove(token.textValue()));
    JSON.writeValue(folder.resolve("vocab.json").toFile(), vocabulary);
    List<String> merges = new ArrayList<>();
    for (String merge : Files.readAllLines(FIXTURES.resolve("tokenizer/merges.txt"))) {
      if (merge.startsWith("#") || Arrays.stream(merge.split(" ")).allMatch(vocabulary::has)) {
        merges.add(merge);
      }
    }
    Files.write(folder.resolve("merges.txt"), merges);
  }

  @ParameterizedTest
  @ValueSource(strings = {"tiny-sd1", "tiny-sd2"})
  void givesTheIdsOfTheTinyModels(String model) throws IOException {
    ClipTokenizer tokenizer =
        ClipTokenizer.load(FIXTURES.resolve("models").resolve(model).resolve("tokenizer"));
    JsonNode golden =
        JSON.readTree(
            FIXTURES.resolve("models").resolve(model).resolve("golden/tokens.json").toFile());
    assertThat(golden).isNotEmpty();
    for (JsonNode one : golden) {
      assertThat(tokenizer.encode(one.get("text").textValue()))
          .as("%s", one.get("text"))
          .isEqualTo(
              new Tokens(
                  JSON.treeToValue(one.get("ids"), int[].class),
                  one.get("truncated").booleanValue()));
    }
  }
}
