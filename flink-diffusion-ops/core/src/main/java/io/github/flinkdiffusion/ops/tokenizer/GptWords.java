/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import java.nio.charset.StandardCharsets;
import java.util.function.IntConsumer;

/**
 * How GPT-2 cuts a text into words before each is byte pair encoded, with the reference's own idea
 * of Unicode ({@link UnicodeTables}). By the first of these that fits: an English contraction in
 * small letters; letters, digits, or other characters, each with up to one space before them; white
 * space but its last character, which may belong to the next word; white space. A vocabulary may
 * have been learned from texts of which each digit was cut out first.
 */
final class GptWords implements SectionEncoder {
  private static final String[] CONTRACTIONS = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};

  private final BytePairs bytePairs;
  private final boolean singleDigits;

  /**
   * @param singleDigits whether each digit is cut out first
   */
  GptWords(BytePairs bytePairs, boolean singleDigits) {
    this.bytePairs = bytePairs;
    this.singleDigits = singleDigits;
  }

  @Override
  public void encode(String text, IntConsumer taker) {
    int from = 0;
    for (int at = 0; singleDigits && at < text.length(); ) {
      int point = text.codePointAt(at);
      int end = at + Character.charCount(point);
      if (UnicodeTables.isDigit(point)) {
        words(text.substring(from, at), taker);
        words(text.substring(at, end), taker);
        from = end;
      }
      at = end;
    }
    words(text.substring(from), taker);
  }

  private void words(String text, IntConsumer taker) {
    for (int at = 0; at < text.length(); ) {
      int end = endOfWord(text, at);
      for (int id : bytePairs.encode(text.substring(at, end).getBytes(StandardCharsets.UTF_8))) {
        taker.accept(id);
      }
      at = end;
    }
  }

  private enum Kind {
    SPACE,
    LETTER,
    DIGIT,
    OTHER;

    static Kind at(String text, int at) {
      int point = text.codePointAt(at);
      if (UnicodeTables.isSpace(point)) {
        return SPACE;
      }
      return UnicodeTables.isLetter(point) ? LETTER : UnicodeTables.isDigit(point) ? DIGIT : OTHER;
    }
  }

  private static int endOfWord(String text, int from) {
    for (String contraction : CONTRACTIONS) {
      if (text.startsWith(contraction, from)) {
        return from + contraction.length();
      }
    }
    int first = text.charAt(from) == ' ' && from + 1 < text.length() ? from + 1 : from;
    Kind kind = Kind.at(text, first);
    if (kind != Kind.SPACE) {
      return endOf(kind, text, first);
    }
    int end = endOf(Kind.SPACE, text, from);
    return end == text.length() || end - from == 1 ? end : end - 1;
  }

  private static int endOf(Kind kind, String text, int from) {
    int end = from;
    while (end < text.length() && Kind.at(text, end) == kind) {
      end += Character.charCount(text.codePointAt(end));
    }
    return end;
  }
}
