/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;

/**
 * Tokens that are found in a text as they are written, before it is cut into words: the special
 * ones, and concepts that were added to a model.
 */
final class AddedTokens {

  /**
   * @param content the text to look for
   * @param normalized whether to look for it in the normalized text (in lower case, above all) or
   *     in the original
   * @param lstrip whether white space before it belongs to it
   * @param rstrip whether white space after it belongs to it
   */
  record AddedToken(String content, boolean normalized, boolean lstrip, boolean rstrip) {
    AddedToken(String content, boolean normalized) {
      this(content, normalized, false, false);
    }
  }

  /** A stretch of text, or a token instead of one. */
  record Section(String text, OptionalInt token) {}

  private record Pattern(String text, int id, AddedToken token) {}

  private final UnaryOperator<String> normalizer;

  /** By their first character, the longest first. */
  private final Map<Character, List<Pattern>> inOriginal;

  private final Map<Character, List<Pattern>> inNormalized;

  private AddedTokens(
      UnaryOperator<String> normalizer, List<Pattern> inOriginal, List<Pattern> inNormalized) {
    this.normalizer = normalizer;
    this.inOriginal = byFirst(inOriginal);
    this.inNormalized = byFirst(inNormalized);
  }

  private static Map<Character, List<Pattern>> byFirst(List<Pattern> patterns) {
    return patterns.stream()
        .filter(pattern -> !pattern.text.isEmpty())
        .sorted(Comparator.comparingInt(pattern -> -pattern.text.length()))
        .collect(Collectors.groupingBy(pattern -> pattern.text.charAt(0)));
  }

  /** The last of several with the same content counts. */
  static AddedTokens of(
      List<AddedToken> tokens, Map<String, Integer> ids, UnaryOperator<String> normalizer) {
    Map<String, AddedToken> byContent = new LinkedHashMap<>();
    tokens.stream().filter(t -> !t.content.isEmpty()).forEach(t -> byContent.put(t.content, t));
    List<Pattern> inOriginal = new ArrayList<>();
    List<Pattern> inNormalized = new ArrayList<>();
    for (AddedToken token : byContent.values()) {
      int id = ids.get(token.content);
      if (token.normalized) {
        inNormalized.add(new Pattern(normalizer.apply(token.content), id, token));
      } else {
        inOriginal.add(new Pattern(token.content, id, token));
      }
    }
    return new AddedTokens(normalizer, inOriginal, inNormalized);
  }

  /** A text as tokens found in it and normalized text between them. */
  List<Section> split(String text) {
    List<Section> sections = new ArrayList<>();
    for (Section section : split(text, inOriginal)) {
      if (section.token.isPresent()) {
        sections.add(section);
      } else {
        sections.addAll(split(normalizer.apply(section.text), inNormalized));
      }
    }
    return sections;
  }

  private static List<Section> split(String text, Map<Character, List<Pattern>> patterns) {
    List<Section> sections = new ArrayList<>();
    int done = 0;
    for (int at = 0; at < text.length() && !patterns.isEmpty(); ) {
      Pattern found = null;
      for (Pattern pattern : patterns.getOrDefault(text.charAt(at), List.of())) {
        if (text.startsWith(pattern.text, at)) {
          found = pattern;
          break;
        }
      }
      if (found == null) {
        at++;
        continue;
      }
      int start = found.token.lstrip ? startOfSpaces(text, done, at) : at;
      if (done < start) {
        sections.add(new Section(text.substring(done, start), OptionalInt.empty()));
      }
      sections.add(new Section("", OptionalInt.of(found.id)));
      at += found.text.length();
      if (found.token.rstrip) {
        at = endOfSpaces(text, at);
      }
      done = at;
    }
    if (done < text.length()) {
      sections.add(new Section(text.substring(done), OptionalInt.empty()));
    }
    return sections;
  }

  /** All white space is of one char. */
  private static int startOfSpaces(String text, int from, int end) {
    int start = end;
    while (start > from && UnicodeTables.isSpace(text.charAt(start - 1))) {
      start--;
    }
    return start;
  }

  private static int endOfSpaces(String text, int start) {
    int end = start;
    while (end < text.length() && UnicodeTables.isSpace(text.charAt(end))) {
      end++;
    }
    return end;
  }
}
