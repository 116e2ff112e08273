/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import java.util.ArrayList;
import java.util.List;

/**
 * The printable character that stands for each byte in vocabularies of the GPT-2 family: itself
 * where the byte is a printable Latin-1 character, else the next one from U+0100 on.
 */
final class ByteAlphabet {
  private static final char[] CHARACTER = new char[256];
  private static final List<Character> VOCABULARY_ORDER = new ArrayList<>();

  static {
    char spare = 256;
    for (int b = 0; b < 256; b++) {
      if (isPrintable(b)) {
        CHARACTER[b] = (char) b;
        VOCABULARY_ORDER.add(CHARACTER[b]);
      }
    }
    for (int b = 0; b < 256; b++) {
      if (!isPrintable(b)) {
        CHARACTER[b] = spare++;
        VOCABULARY_ORDER.add(CHARACTER[b]);
      }
    }
  }

  private ByteAlphabet() {}

  private static boolean isPrintable(int b) {
    return b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE;
  }

  static char character(int unsignedByte) {
    return CHARACTER[unsignedByte];
  }

  /** All 256 in the order of CLIP's vocabulary, in which "!" is the first. */
  static List<Character> inVocabularyOrder() {
    return List.copyOf(VOCABULARY_ORDER);
  }
}
