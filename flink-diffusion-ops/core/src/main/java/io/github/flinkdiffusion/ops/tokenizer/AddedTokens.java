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

/**
 * Tokens that are found in a text as they are written, before it is cut into words: the special
 * ones, and concepts that were added to a model.
 */
final class AddedTokens {

  /**
   * @param content the text to look for
   * @param normalized whether to look for it in the normalized text (in lower case, above all) or
   *     in the original
   */
  record AddedToken(String content, boolean normalized) {}

  /** A stretch of text, or a token instead of one. */
  record Section(String text, OptionalInt token) {}

  private record Pattern(String text, int id) {}

  private final List<Pattern> inOriginal;
  private final List<Pattern> inNormalized;

  private AddedTokens(List<Pattern> inOriginal, List<Pattern> inNormalized) {
    this.inOriginal = inOriginal;
    this.inNormalized = inNormalized;
  }

  /** The last of several with the same content counts. */
  static AddedTokens of(List<AddedToken> tokens, Map<String, Integer> ids) {
    Map<String, AddedToken> byContent = new LinkedHashMap<>();
    tokens.stream().filter(t -> !t.content.isEmpty()).forEach(t -> byContent.put(t.content, t));
    List<Pattern> inOriginal = new ArrayList<>();
    List<Pattern> inNormalized = new ArrayList<>();
    for (AddedToken token : byContent.values()) {
      if (token.normalized) {
        inNormalized.add(new Pattern(Words.normalize(token.content), ids.get(token.content)));
      } else {
        inOriginal.add(new Pattern(token.content, ids.get(token.content)));
      }
    }
    Comparator<Pattern> longestFirst = Comparator.comparingInt(pattern -> -pattern.text.length());
    inOriginal.sort(longestFirst);
    inNormalized.sort(longestFirst);
    return new AddedTokens(inOriginal, inNormalized);
  }

  /** A text as tokens found in it and normalized text between them. */
  List<Section> split(String text) {
    List<Section> sections = new ArrayList<>();
    for (Section section : split(text, inOriginal)) {
      if (section.token.isPresent()) {
        sections.add(section);
      } else {
        sections.addAll(split(Words.normalize(section.text), inNormalized));
      }
    }
    return sections;
  }

  private static List<Section> split(String text, List<Pattern> patterns) {
    List<Section> sections = new ArrayList<>();
    int done = 0;
    for (int at = 0; at < text.length() && !patterns.isEmpty(); ) {
      Pattern found = null;
      for (Pattern pattern : patterns) {
        if (text.startsWith(pattern.text, at)) {
          found = pattern;
          break;
        }
      }
      if (found == null) {
        at++;
        continue;
      }
      if (done < at) {
        sections.add(new Section(text.substring(done, at), OptionalInt.empty()));
      }
      sections.add(new Section("", OptionalInt.of(found.id)));
      at += found.text.length();
      done = at;
    }
    if (done < text.length()) {
      sections.add(new Section(text.substring(done), OptionalInt.empty()));
    }
    return sections;
  }
}
