/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Finds out what a reader of configs accepts for a key, by giving it what it cannot: its error says
 * what it could have been. So the reference page says what the code does.
 */
public final class AcceptedValues {
  private static final Pattern CLAUSE = Pattern.compile("supported: (.*)", Pattern.DOTALL);

  /** The values of the config that was tried, which mean nothing on the page. */
  private static final Pattern PARTICULARS = Pattern.compile(" ?(\\[[^\\]]*\\]|\\(\\d+\\))");

  /** Nonsense for a word, then for what a first answer asks for. */
  private static final String NO_WORD = "?";

  private static final Map<String, List<Object>> FURTHER =
      Map.of(
          "a number", List.of(0.5, -1e9),
          "a finite number", List.of(-1e9),
          "a whole number of 32 bits", List.of(-1_000_001, List.of(-1_000_001)),
          "a list of strings", List.of(List.of(NO_WORD)),
          "a list of whole numbers", List.of(List.of(-1_000_001)),
          "a list of numbers", List.of(List.of(-1e9)),
          "an object", List.of());

  private AcceptedValues() {}

  /**
   * @param about what stands in an error that is about the key
   * @param read reads a config in which the key has the given value; the message of what it throws,
   *     empty if it throws nothing
   */
  public static String of(String about, Function<Object, Optional<String>> read) {
    Optional<String> first = clause(about, read.apply(NO_WORD));
    if (first.isEmpty()) {
      return "any";
    }
    String accepted = first.get();
    for (Object nonsense : FURTHER.getOrDefault(accepted, List.of())) {
      Optional<String> closer =
          clause(about, read.apply(nonsense)).filter(clause -> !clause.equals(first.get()));
      if (closer.isPresent()) {
        accepted = closer.get();
        break;
      }
    }
    return PARTICULARS
        .matcher(accepted)
        .replaceAll("")
        .replaceAll("list of \\d+", "list with one for each block")
        .replace(".." + Integer.MAX_VALUE, " or more")
        .replace(" of 32 bits", "");
  }

  private static Optional<String> clause(String about, Optional<String> message) {
    return message
        .filter(text -> text.contains(about))
        .map(CLAUSE::matcher)
        .filter(Matcher::find)
        .map(found -> found.group(1));
  }
}
