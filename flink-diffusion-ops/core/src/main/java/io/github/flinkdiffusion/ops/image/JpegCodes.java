/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

/** Huffman codes of a JPEG file. */
final class JpegCodes {
  private static final int FAST = 9;

  /** For the first bits of a code, where it is that short: length and symbol. */
  private final short[] fast = new short[1 << FAST];

  /** The largest code of each length, moved to the left end of 16 bits; -1 where there is none. */
  private final int[] most = new int[18];

  private final int[] offset = new int[17];
  private final byte[] symbols;

  /**
   * @param counts of the codes of 1 to 16 bits
   */
  JpegCodes(int[] counts, byte[] symbols) {
    this.symbols = symbols;
    int code = 0;
    int symbol = 0;
    for (int length = 1; length <= 16; length++) {
      offset[length] = symbol - code;
      for (int i = 0; i < counts[length - 1]; i++, code++, symbol++) {
        if (code >= 1 << length) {
          throw new ImageException("Corrupt JPEG data: a table of more codes than there can be");
        }
        if (length <= FAST) {
          int first = code << FAST - length;
          for (int tail = 0; tail < 1 << FAST - length; tail++) {
            fast[first + tail] = (short) (length << 8 | symbols[symbol] & 0xFF);
          }
        }
      }
      most[length] = counts[length - 1] == 0 ? -1 : (code << 16 - length) - 1;
      code <<= 1;
    }
  }

  int next(JpegBits bits) {
    int window = bits.peek16();
    int found = fast[window >>> 16 - FAST];
    if (found != 0) {
      bits.skip(found >>> 8);
      return found & 0xFF;
    }
    for (int length = FAST + 1; length <= 16; length++) {
      if (window <= most[length]) {
        bits.skip(length);
        return symbols[offset[length] + (window >>> 16 - length)] & 0xFF;
      }
    }
    throw new ImageException("Corrupt JPEG data: a code that no table has");
  }
}
