/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

/**
 * What a network keeps of the tokens that it has read: their keys and values, so that the next
 * token's call computes that token alone. Immutable; texts that begin alike share what they begin
 * with, as the beams of a search do.
 *
 * @param before of the tokens before these; null for none
 * @param values of these tokens, one after the other
 * @param count of these tokens
 * @param length of all tokens, those before among them
 */
record ReadTokens(ReadTokens before, float[] values, int count, int length) {

  ReadTokens(ReadTokens before, float[] values, int count) {
    this(before, values, count, count + (before == null ? 0 : before.length()));
  }

  /**
   * Copies all values.
   *
   * @param size numbers of a token
   */
  void copyTo(float[] to, int at, int size) {
    for (ReadTokens part = this; part != null; part = part.before) {
      int first = part.length - part.count;
      System.arraycopy(part.values, 0, to, at + first * size, part.count * size);
    }
  }
}
