/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * The words that a model was trained with, by the file {@code vocabulary.json} in its folder. A
 * small model draws something for every prompt; of a word that it has never seen, it draws nothing.
 *
 * @param form of a prompt that it understands
 * @param groups of words, such as nouns and colors, by their names
 * @param guidance scale that suits it; empty if the file does not say
 * @param prompts that show what it can draw; may be none
 */
record ModelWords(
    String form, Map<String, List<String>> groups, OptionalDouble guidance, List<String> prompts) {
  static final String FILE = "vocabulary.json";

  /**
   * A word begins with a letter or digit; an apostrophe or a hyphen may stand inside it. An emoji,
   * with what changes its look, is a word, too.
   */
  private static final Pattern WORD =
      Pattern.compile(
          "[\\p{L}\\p{N}][\\p{L}\\p{M}\\p{N}]*(?:['\u2019-][\\p{L}\\p{M}\\p{N}]+)*"
              + "|\\p{So}(?:[\\p{Sk}\\p{M}]|\u200d\\p{So})*");

  ModelWords {
    groups = new LinkedHashMap<>(groups);
    prompts = List.copyOf(prompts);
  }

  /**
   * Those of a model; empty when its folder does not say.
   *
   * @throws DemoException if the file is there and cannot be understood
   */
  static Optional<ModelWords> of(Path model) {
    Path file = model.resolve(FILE);
    if (!Files.isRegularFile(file)) {
      return Optional.empty();
    }
    try {
      JsonNode json = new ObjectMapper().readTree(file.toFile());
      Map<String, List<String>> groups = new LinkedHashMap<>();
      json.path("groups")
          .fields()
          .forEachRemaining(
              group -> {
                groups.put(group.getKey(), texts(group.getValue()));
              });
      if (!json.path("form").isTextual() || groups.isEmpty()) {
        throw new DemoException(
            "%s has no \"form\" or no \"groups\" of words; write them, or delete the file."
                .formatted(file));
      }
      JsonNode guidance = json.path("guidance");
      if (!guidance.isMissingNode() && !(guidance.isNumber() && guidance.asDouble() >= 1)) {
        throw new DemoException(
            "\"guidance\" is %s in %s; a guidance scale is a number of at least 1."
                .formatted(guidance, file));
      }
      return Optional.of(
          new ModelWords(
              json.path("form").asText(),
              groups,
              guidance.isNumber() ? OptionalDouble.of(guidance.asDouble()) : OptionalDouble.empty(),
              texts(json.path("prompts"))));
    } catch (IOException e) {
      throw new DemoException("Cannot read the model's words in %s: %s".formatted(file, e), e);
    }
  }

  private static List<String> texts(JsonNode array) {
    List<String> texts = new ArrayList<>();
    array.forEach(each -> texts.add(each.asText()));
    return List.copyOf(texts);
  }

  /**
   * The words of a prompt that the model has never seen, each once, in small letters. Those that it
   * knows as a part of something, such as "cat" of "cat face", are {@link #parts}.
   */
  List<String> unknown(String prompt) {
    return notWhole(prompt).stream().filter(word -> wholes(word).isEmpty()).toList();
  }

  /**
   * The words of a prompt that the model has only seen as a part of an entry of several words, each
   * with these entries: "apple" with "red apple".
   */
  Map<String, List<String>> parts(String prompt) {
    Map<String, List<String>> parts = new LinkedHashMap<>();
    for (String word : notWhole(prompt)) {
      List<String> wholes = wholes(word);
      if (!wholes.isEmpty()) {
        parts.put(word, wholes);
      }
    }
    return parts;
  }

  /** Words that are no entry of the list, and not in one that the prompt has as a whole. */
  private Set<String> notWhole(String prompt) {
    List<String> words = words(prompt);
    BitSet known = new BitSet(words.size());
    for (List<String> entries : groups.values()) {
      for (String entry : entries) {
        markEach(words(entry), words, known);
      }
    }
    Set<String> others = new LinkedHashSet<>();
    for (int i = 0; i < words.size(); i++) {
      if (!known.get(i)) {
        others.add(words.get(i));
      }
    }
    return others;
  }

  private List<String> wholes(String part) {
    return groups.values().stream()
        .flatMap(List::stream)
        .filter(entry -> words(entry).contains(part))
        .toList();
  }

  /** Marks the positions of an entry wherever all its words follow each other. */
  private static void markEach(List<String> entry, List<String> words, BitSet known) {
    for (int i = 0; i + entry.size() <= words.size(); i++) {
      if (words.subList(i, i + entry.size()).equals(entry)) {
        known.set(i, i + entry.size());
      }
    }
  }

  private static List<String> words(String text) {
    return WORD.matcher(text.toLowerCase(Locale.ROOT)).results().map(word -> word.group()).toList();
  }

  /** For a person: the form, and each group in a paragraph. */
  String text() {
    StringBuilder text = new StringBuilder(form).append("\n");
    groups.forEach(
        (name, words) -> text.append("\n%s: %s\n".formatted(name, String.join(", ", words))));
    return text.toString();
  }
}
