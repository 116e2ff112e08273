/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import java.util.List;
import java.util.Map;

/**
 * Byte pair encoding of one word: starts from its bytes and joins them ({@link Merges}). CLIP marks
 * the word's last byte, so that "art" at the end of a word is not "art" within one.
 */
final class BytePairs {
  static final String END_OF_WORD = "</w>";

  private final int[] inner = new int[256];
  private final int[] last = new int[256];
  private final Merges pairs;

  /**
   * @param merges pairs of tokens, the first learned first
   * @param unknown the id for a byte without a token; null if the vocabulary has none
   * @param endOfWord the mark of a word's last byte; empty for a vocabulary without
   */
  BytePairs(
      String source,
      Map<String, Integer> vocabulary,
      List<String[]> merges,
      Integer unknown,
      String endOfWord) {
    for (int b = 0; b < 256; b++) {
      String character = String.valueOf(ByteAlphabet.character(b));
      inner[b] = idOrUnknown(source, vocabulary, character, unknown);
      last[b] = idOrUnknown(source, vocabulary, character + endOfWord, unknown);
    }
    pairs = new Merges(source, vocabulary, merges);
  }

  private static int idOrUnknown(
      String source, Map<String, Integer> vocabulary, String token, Integer unknown) {
    Integer id = vocabulary.getOrDefault(token, unknown);
    if (id == null) {
      throw new TokenizerException(
          "Tokenizer %s: the vocabulary has neither the token '%s' nor the unknown token"
              .formatted(source, token));
    }
    return id;
  }

  /** The tokens of a word of at least one byte, in time n log n. */
  int[] encode(byte[] word) {
    int[] ids = new int[word.length];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = (i == ids.length - 1 ? last : inner)[word[i] & 0xFF];
    }
    return pairs.join(ids);
  }
}
