/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.prompt;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A text as {@link CompelGrammar} reads it: where spaces, words and signs that are looked for end.
 * Places are numbers of characters; -1 is none, and nothing follows it.
 */
record CompelCharacters(String text) {
  private static final String SPACES = " \n\t\r";
  private static final String SYNTAX = "()\",.+-=";

  /** Also ends a word, and is not skipped. */
  private static final String OTHER_SPACES = "\u000b\f";

  /** The end of spaces. */
  int skipped(int at) {
    int end = at;
    while (end < text.length() && isSpace(text.charAt(end))) {
      end++;
    }
    return end;
  }

  /** The end of a literal behind spaces; -1 where it is not, or nothing was read before it. */
  int literal(int at, String literal) {
    if (at < 0) {
      return -1;
    }
    int start = skipped(at);
    return text.startsWith(literal, start) ? start + literal.length() : -1;
  }

  /** The end of what a pattern matches there. */
  int match(Pattern pattern, int at) {
    if (at < 0) {
      return -1;
    }
    Matcher matcher = pattern.matcher(text);
    matcher.region(at, text.length());
    return matcher.lookingAt() ? matcher.end() : -1;
  }

  /** The end of a word without anything that has a meaning. */
  int wordEnd(int at) {
    int end = at;
    while (end < text.length()) {
      int next = characterEnd(end);
      if (next < 0) {
        break;
      }
      end = next;
    }
    return end;
  }

  /** The end of whatever is between spaces. */
  int freeWordEnd(int at) {
    int end = at;
    while (end < text.length()
        && !isSpace(text.charAt(end))
        && OTHER_SPACES.indexOf(text.charAt(end)) < 0) {
      end++;
    }
    return end;
  }

  /** The end of a character of a word, of an escaped one, or of a number; -1 for none. */
  private int characterEnd(int at) {
    char c = text.charAt(at);
    if (c == '\\' && at + 1 < text.length() && SYNTAX.indexOf(text.charAt(at + 1)) >= 0) {
      return at + 2;
    }
    if (c == '-' || c == '+') {
      boolean within =
          at + 1 < text.length()
              && !isSpace(text.charAt(at + 1))
              && SYNTAX.indexOf(text.charAt(at + 1)) < 0;
      return within ? at + 1 : -1;
    }
    return isSpace(c) || OTHER_SPACES.indexOf(c) >= 0 || SYNTAX.indexOf(c) >= 0 ? -1 : at + 1;
  }

  private static boolean isSpace(char c) {
    return SPACES.indexOf(c) >= 0;
  }
}
