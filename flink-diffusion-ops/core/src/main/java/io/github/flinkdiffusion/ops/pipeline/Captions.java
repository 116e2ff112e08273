/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.Locale;

/** Texts as PixArt's and Sana's pipelines write them before they ask a tokenizer. */
final class Captions {
  private Captions() {}

  /** In lower case, without white space around it: {@code clean_caption=False}. */
  static String plain(String text) {
    String lower = text.toLowerCase(Locale.ROOT);
    int start = 0;
    int end = lower.length();
    while (start < end && isSpace(lower.charAt(start))) {
      start++;
    }
    while (end > start && isSpace(lower.charAt(end - 1))) {
      end--;
    }
    return lower.substring(start, end);
  }

  /** As Python sees it: Java does not count spaces that break no line. */
  private static boolean isSpace(char letter) {
    return Character.isWhitespace(letter) || Character.isSpaceChar(letter) || letter == 0x85;
  }
}
