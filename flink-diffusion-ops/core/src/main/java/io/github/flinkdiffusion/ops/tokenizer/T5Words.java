/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import java.util.function.IntConsumer;

/**
 * How T5 cuts a text before the unigram model: into words at white space, which a mark before each
 * word stands for, and before each such mark in the text itself.
 */
final class T5Words implements SectionEncoder {
  /** SentencePiece's mark of a space: U+2581. */
  static final char MARK = '\u2581';

  private final Unigram unigram;

  T5Words(Unigram unigram) {
    this.unigram = unigram;
  }

  @Override
  public void encode(String text, IntConsumer taker) {
    int from = 0;
    for (int at = 0; at <= text.length(); at++) {
      if (at == text.length() || UnicodeTables.isSpace(text.charAt(at))) {
        if (from < at) {
          word(text.substring(from, at), taker);
        }
        from = at + 1;
      }
    }
  }

  private void word(String word, IntConsumer taker) {
    String marked = word.charAt(0) == MARK ? word : MARK + word;
    int from = 0;
    for (int at = 1; at <= marked.length(); at++) {
      if (at == marked.length() || marked.charAt(at) == MARK) {
        unigram.encode(marked.substring(from, at), taker);
        from = at;
      }
    }
  }
}
