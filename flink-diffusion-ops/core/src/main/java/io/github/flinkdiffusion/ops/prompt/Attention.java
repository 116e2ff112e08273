/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.prompt;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.annotation.Internal;

/**
 * Weights in a prompt as AUTOMATIC1111's web UI reads them ({@code parse_prompt_attention}):
 *
 * <ul>
 *   <li>{@code (word)} counts 1.1 times as much, {@code [word]} 1/1.1 times, {@code (word:1.3)} 1.3
 *       times; brackets in brackets multiply, and those that are not closed last to the end;
 *   <li>a backslash before a bracket or another backslash makes it the character itself;
 *   <li>{@code BREAK} ends a chunk of tokens.
 * </ul>
 */
@Internal
public final class Attention {
  private static final double MORE = 1.1;
  private static final double LESS = 1 / 1.1;

  /** What the web UI puts in place of the word; brackets around it make it a text again. */
  private static final WeightedText BREAK = new WeightedText("BREAK", -1);

  private static final Pattern PART =
      Pattern.compile(
          "\\\\[()\\[\\]\\\\]|\\\\|\\(|\\[|:\\s*([+-]?[.\\d]+)\\s*\\)|\\)|\\]|[^\\\\()\\[\\]:]+|:",
          Pattern.UNICODE_CHARACTER_CLASS);

  private static final Pattern BREAKS =
      Pattern.compile("\\s*\\bBREAK\\b\\s*", Pattern.UNICODE_CHARACTER_CLASS);

  private Attention() {}

  /** Whether a part is not a text, but the end of a chunk. */
  public static boolean isBreak(WeightedText part) {
    return part.equals(BREAK);
  }

  /**
   * The parts of a prompt; neighbors of one weight are one part.
   *
   * @return at least one part
   * @throws PromptSyntaxException for a weight that is not a number
   */
  public static List<WeightedText> parse(String prompt) {
    List<WeightedText> parts = new ArrayList<>();
    Deque<Integer> round = new ArrayDeque<>();
    Deque<Integer> square = new ArrayDeque<>();
    Matcher matcher = PART.matcher(prompt);
    while (matcher.find()) {
      String part = matcher.group();
      String weight = matcher.group(1);
      if (part.startsWith("\\")) {
        parts.add(new WeightedText(part.substring(1), 1));
      } else if (part.equals("(")) {
        round.push(parts.size());
      } else if (part.equals("[")) {
        square.push(parts.size());
      } else if (weight != null && !round.isEmpty()) {
        multiply(parts, round.pop(), number(weight));
      } else if (part.equals(")") && !round.isEmpty()) {
        multiply(parts, round.pop(), MORE);
      } else if (part.equals("]") && !square.isEmpty()) {
        multiply(parts, square.pop(), LESS);
      } else {
        addBroken(parts, part);
      }
    }
    // In the order in which they were opened, as the reference rounds.
    round.descendingIterator().forEachRemaining(from -> multiply(parts, from, MORE));
    square.descendingIterator().forEachRemaining(from -> multiply(parts, from, LESS));
    return parts.isEmpty() ? List.of(new WeightedText("", 1)) : joined(parts);
  }

  private static void addBroken(List<WeightedText> parts, String text) {
    boolean first = true;
    for (String piece : BREAKS.split(text, -1)) {
      if (!first) {
        parts.add(BREAK);
      }
      parts.add(new WeightedText(piece, 1));
      first = false;
    }
  }

  private static double number(String weight) {
    try {
      return Double.parseDouble(weight);
    } catch (NumberFormatException e) {
      throw new PromptSyntaxException(
          "The prompt has the weight '%s'; it must be a number such as 1.3, or the colon written as a text without brackets around it."
              .formatted(weight));
    }
  }

  private static void multiply(List<WeightedText> parts, int from, double factor) {
    for (int i = from; i < parts.size(); i++) {
      WeightedText part = parts.get(i);
      parts.set(i, new WeightedText(part.text(), part.weight() * factor));
    }
  }

  private static List<WeightedText> joined(List<WeightedText> parts) {
    List<WeightedText> joined = new ArrayList<>();
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < parts.size(); i++) {
      text.append(parts.get(i).text());
      double weight = parts.get(i).weight();
      if (i + 1 == parts.size() || parts.get(i + 1).weight() != weight) {
        joined.add(new WeightedText(text.toString(), weight));
        text.setLength(0);
      }
    }
    return List.copyOf(joined);
  }
}
