/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * SentencePiece's compiled rules of normalization (mostly NFKC with cleaned white space): a double
 * array of character sequences, and the texts that replace them. They apply as the {@code
 * tokenizers} library applies them: to a whole user-perceived character of up to five bytes if a
 * rule begins it, else to each of its code points.
 */
final class Charsmap {
  /** A user-perceived character of that many bytes is taken apart. */
  private static final int TOO_LONG = 6;

  private final String source;
  private final int[] units;
  private final byte[] replacements;

  /**
   * @param blob {@code precompiled_charsmap}: the double array's size in bytes, the double array,
   *     the replacements
   * @throws TokenizerException if it is none
   */
  Charsmap(String source, byte[] blob) {
    this.source = source;
    ByteBuffer bytes = ByteBuffer.wrap(blob).order(ByteOrder.LITTLE_ENDIAN);
    long size = blob.length < 4 ? -1 : Integer.toUnsignedLong(bytes.getInt());
    if (size < 4 || size % 4 != 0 || size > blob.length - 4) {
      throw broken();
    }
    units = new int[(int) (size / 4)];
    bytes.asIntBuffer().get(units);
    replacements = new byte[(int) (blob.length - 4 - size)];
    bytes.position((int) (4 + size));
    bytes.get(replacements);
  }

  private TokenizerException broken() {
    return new TokenizerException(
        "Tokenizer %s: the precompiled_charsmap is corrupt".formatted(source));
  }

  /** The text by the rules. */
  String normalize(String text) {
    ByteArrayOutputStream normal = new ByteArrayOutputStream(text.length());
    Graphemes.forEach(
        text,
        (from, to) -> {
          byte[] grapheme = utf8(text, from, to);
          if (grapheme.length < TOO_LONG && replace(grapheme, normal)) {
            return;
          }
          for (int at = from; at < to; ) {
            int end = at + Character.charCount(text.codePointAt(at));
            byte[] point = utf8(text, at, end);
            if (!replace(point, normal)) {
              normal.write(point, 0, point.length);
            }
            at = end;
          }
        });
    return normal.toString(StandardCharsets.UTF_8);
  }

  private static byte[] utf8(String text, int from, int to) {
    return text.substring(from, to).getBytes(StandardCharsets.UTF_8);
  }

  /** Writes what replaces a sequence that the shortest rule begins; false if none does. */
  private boolean replace(byte[] sequence, ByteArrayOutputStream normal) {
    int at = shortestRule(sequence);
    if (at < 0) {
      return false;
    }
    int end = at;
    while (end < replacements.length && replacements[end] != 0) {
      end++;
    }
    if (at > replacements.length) {
      throw broken();
    }
    normal.write(replacements, at, end - at);
    return true;
  }

  /** Where the replacement begins, or -1. The layout of units is Darts-clone's. */
  private int shortestRule(byte[] sequence) {
    int node = offset(units[0]);
    for (byte b : sequence) {
      int label = b & 0xFF;
      if (label == 0) {
        return -1;
      }
      node ^= label;
      int unit = unit(node);
      if ((unit & 0x800000FF) != label) {
        return -1;
      }
      node ^= offset(unit);
      if ((unit >>> 8 & 1) == 1) {
        return unit(node) & 0x7FFFFFFF;
      }
    }
    return -1;
  }

  private int unit(int node) {
    if (node < 0 || node >= units.length) {
      throw broken();
    }
    return units[node];
  }

  private static int offset(int unit) {
    return unit >>> 10 << ((unit & 0x200) >>> 6);
  }
}
