/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import java.nio.charset.StandardCharsets;
import java.util.function.Predicate;

/**
 * How CLIP cleans a text and cuts it into words, with the reference's own idea of Unicode ({@link
 * UnicodeTables}).
 */
final class Words {
  private static final String[] CONTRACTIONS = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};

  /**
   * Literals of the reference's first pattern; its second pattern then cuts them in three again.
   */
  private static final String[] SPECIAL_LITERALS = {"<|startoftext|>", "<|endoftext|>"};

  private Words() {}

  /** Composed characters (NFC), white space as single spaces, lower case. */
  static String normalize(String text) {
    String composed = UnicodeTables.compose(text);
    StringBuilder normal = new StringBuilder(composed.length());
    boolean inSpace = false;
    for (int at = 0; at < composed.length(); ) {
      int c = composed.codePointAt(at);
      at += Character.charCount(c);
      if (UnicodeTables.isSpace(c)) {
        if (!inSpace) {
          normal.append(' ');
        }
        inSpace = true;
      } else {
        inSpace = false;
        UnicodeTables.appendLower(normal, c);
      }
    }
    return normal.toString();
  }

  /**
   * Gives the UTF-8 bytes of each word of a normalized text, in order, until the taker has had
   * enough.
   *
   * @param take returns whether it wants more
   * @return false if the taker stopped it
   */
  static boolean forEach(String text, Predicate<byte[]> take) {
    for (int at = 0; at < text.length(); ) {
      int c = text.codePointAt(at);
      if (UnicodeTables.isSpace(c)) {
        at += Character.charCount(c);
        continue;
      }
      int literal = lengthOfAny(SPECIAL_LITERALS, text, at);
      if (literal > 0) {
        if (!take(text, at, at + 2, take)
            || !take(text, at + 2, at + literal - 2, take)
            || !take(text, at + literal - 2, at + literal, take)) {
          return false;
        }
        at += literal;
        continue;
      }
      int end = at + wordLength(text, at, c);
      if (!take(text, at, end, take)) {
        return false;
      }
      at = end;
    }
    return true;
  }

  private static boolean take(String text, int from, int to, Predicate<byte[]> take) {
    return take.test(text.substring(from, to).getBytes(StandardCharsets.UTF_8));
  }

  private static int wordLength(String text, int from, int first) {
    int contraction = lengthOfAny(CONTRACTIONS, text, from);
    if (contraction > 0) {
      return contraction;
    }
    int at = from + Character.charCount(first);
    if (UnicodeTables.isDigit(first)) {
      return at - from; // each digit is a word
    }
    boolean letters = UnicodeTables.isLetter(first);
    while (at < text.length()) {
      int c = text.codePointAt(at);
      boolean goesOn =
          letters
              ? UnicodeTables.isLetter(c)
              : !UnicodeTables.isSpace(c)
                  && !UnicodeTables.isLetter(c)
                  && !UnicodeTables.isDigit(c);
      if (!goesOn) {
        break;
      }
      at += Character.charCount(c);
    }
    return at - from;
  }

  private static int lengthOfAny(String[] literals, String text, int at) {
    for (String literal : literals) {
      if (text.startsWith(literal, at)) {
        return literal.length();
      }
    }
    return 0;
  }
}
