/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import java.nio.charset.StandardCharsets;
import java.util.function.IntConsumer;

/**
 * How Qwen 2 cuts a text into words before each is byte pair encoded, with the reference's own idea
 * of Unicode ({@link UnicodeTables}). By the first of these that fits: an English contraction;
 * letters with up to one character before them that is no letter, digit or line break; one digit;
 * other characters with up to one space before and line breaks after them; white space up to its
 * last line break; white space but its last character, which belongs to the next word; white space.
 */
final class QwenWords implements SectionEncoder {
  /** That pattern as {@code tokenizer.json} writes it. */
  static final String PATTERN =
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
          + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

  private static final String[] CONTRACTIONS = {"s", "t", "re", "ve", "m", "ll", "d"};

  /** A small s to patterns that ignore case. */
  private static final char LONG_S = 'ſ';

  private final BytePairs bytePairs;

  QwenWords(BytePairs bytePairs) {
    this.bytePairs = bytePairs;
  }

  @Override
  public void encode(String text, IntConsumer taker) {
    for (int at = 0; at < text.length(); ) {
      int end = endOfWord(text, at);
      for (int id : bytePairs.encode(text.substring(at, end).getBytes(StandardCharsets.UTF_8))) {
        taker.accept(id);
      }
      at = end;
    }
  }

  private static int endOfWord(String text, int from) {
    int contraction = contraction(text, from);
    if (contraction > 0) {
      return from + contraction;
    }
    int first = text.codePointAt(from);
    int second = from + Character.charCount(first);
    if (isLetter(first)) {
      return endOfLetters(text, second);
    }
    if (UnicodeTables.isDigit(first)) {
      return second;
    }
    if (!isBreak(first) && second < text.length() && isLetter(text.codePointAt(second))) {
      return endOfLetters(text, second);
    }
    int others = first == ' ' ? second : from;
    int end = endOfOthers(text, others);
    if (end > others) {
      while (end < text.length() && isBreak(text.charAt(end))) {
        end++;
      }
      return end;
    }
    return endOfSpaces(text, from);
  }

  private static int endOfSpaces(String text, int from) {
    int end = from;
    int afterBreak = from;
    while (end < text.length() && UnicodeTables.isSpace(text.charAt(end))) {
      end++;
      if (isBreak(text.charAt(end - 1))) {
        afterBreak = end;
      }
    }
    if (afterBreak > from) {
      return afterBreak;
    }
    return end == text.length() || end - from == 1 ? end : end - 1;
  }

  private static int endOfLetters(String text, int from) {
    int end = from;
    while (end < text.length() && isLetter(text.codePointAt(end))) {
      end += Character.charCount(text.codePointAt(end));
    }
    return end;
  }

  private static int endOfOthers(String text, int from) {
    int end = from;
    while (end < text.length()) {
      int point = text.codePointAt(end);
      if (UnicodeTables.isSpace(point) || isLetter(point) || UnicodeTables.isDigit(point)) {
        break;
      }
      end += Character.charCount(point);
    }
    return end;
  }

  /** Its length, or 0. */
  private static int contraction(String text, int from) {
    if (text.charAt(from) != '\'') {
      return 0;
    }
    for (String letters : CONTRACTIONS) {
      boolean fits = from + letters.length() < text.length();
      for (int i = 0; i < letters.length() && fits; i++) {
        char c = text.charAt(from + 1 + i);
        char small = c >= 'A' && c <= 'Z' ? (char) (c + 'a' - 'A') : c == LONG_S ? 's' : c;
        fits = small == letters.charAt(i);
      }
      if (fits) {
        return 1 + letters.length();
      }
    }
    return 0;
  }

  private static boolean isLetter(int point) {
    return UnicodeTables.isLetter(point);
  }

  private static boolean isBreak(int point) {
    return point == '\r' || point == '\n';
  }
}
