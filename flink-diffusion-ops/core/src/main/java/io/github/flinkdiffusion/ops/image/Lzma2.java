/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.Arrays;

/**
 * Unpacks the LZMA2 chunks of a block of an .xz stream; the output behind where it began is the
 * dictionary.
 */
final class Lzma2 {
  private static final int PROBABILITY_BITS = 11;
  private static final int HALF = 1 << PROBABILITY_BITS - 1;
  private static final int STATES = 12;
  private static final int FIRST_LITERAL_AFTER_MATCH = 7;
  private static final int MATCH_LEAST = 2;
  private static final int ALIGN_BITS = 4;

  private final byte[] in;
  private final byte[] out;
  private int at;
  private int length;

  /** Where in the output the dictionary begins. */
  private int dictionary;

  private boolean needsProperties = true;
  private boolean needsState = true;
  private int literalContext;
  private int literalPosition;
  private int positionMask;

  private int state;
  private final int[] last = new int[4];
  private int range;
  private int code;
  private int chunkEnd;

  private final short[] isMatch = new short[STATES << 4];
  private final short[] isRepeat = new short[STATES];
  private final short[] isRepeat0 = new short[STATES];
  private final short[] isRepeat1 = new short[STATES];
  private final short[] isRepeat2 = new short[STATES];
  private final short[] isLong = new short[STATES << 4];
  private final short[][] slots = new short[4][64];
  private final short[] special = new short[128];
  private final short[] align = new short[1 << ALIGN_BITS];
  private final Lengths matchLengths = new Lengths();
  private final Lengths repeatLengths = new Lengths();
  private short[] literals = new short[0];

  private final class Lengths {
    private final short[] choice = new short[2];
    private final short[][] low = new short[16][8];
    private final short[][] middle = new short[16][8];
    private final short[] high = new short[256];

    void reset() {
      Arrays.fill(choice, (short) HALF);
      Arrays.fill(high, (short) HALF);
      for (int i = 0; i < 16; i++) {
        Arrays.fill(low[i], (short) HALF);
        Arrays.fill(middle[i], (short) HALF);
      }
    }

    int decode(int position) {
      if (bit(choice, 0) == 0) {
        return MATCH_LEAST + tree(low[position], 3);
      }
      if (bit(choice, 1) == 0) {
        return MATCH_LEAST + 8 + tree(middle[position], 3);
      }
      return MATCH_LEAST + 16 + tree(high, 8);
    }
  }

  /**
   * @param at where the chunks begin
   * @param length how much of the output is filled
   */
  Lzma2(byte[] in, int at, byte[] out, int length) {
    this.in = in;
    this.at = at;
    this.out = out;
    this.length = length;
    dictionary = length;
  }

  /** Where the input is read up to. */
  int at() {
    return at;
  }

  /** How much of the output is filled. */
  int length() {
    return length;
  }

  private int next() {
    if (at >= in.length) {
      throw Xz.damaged("ends too early");
    }
    return in[at++] & 0xFF;
  }

  /** False if the output is full before the end. */
  boolean decode() {
    for (boolean first = true; ; first = false) {
      int control = next();
      if (control == 0) {
        return true;
      }
      boolean newDictionary = control == 1 || control >= 0xE0;
      if (first && !newDictionary || control > 2 && control < 0x80) {
        throw Xz.damaged("has an unknown chunk");
      }
      if (newDictionary) {
        dictionary = length;
      }
      if (control < 0x80) {
        int size = (next() << 8 | next()) + 1;
        if (in.length - at < size) {
          throw Xz.damaged("ends too early");
        }
        int copied = Math.min(size, out.length - length);
        System.arraycopy(in, at, out, length, copied);
        length += copied;
        at += size;
        if (copied < size) {
          return false;
        }
      } else if (!compressed(control)) {
        return false;
      }
    }
  }

  private boolean compressed(int control) {
    int size = ((control & 0x1F) << 16 | next() << 8 | next()) + 1;
    int packed = (next() << 8 | next()) + 1;
    int reset = control >> 5 & 3;
    if (reset >= 2) {
      properties(next());
    } else if (needsProperties) {
      throw Xz.damaged("begins without properties");
    }
    if (reset >= 1) {
      resetState();
    } else if (needsState) {
      throw Xz.damaged("begins without a state");
    }
    if (in.length - at < packed) {
      throw Xz.damaged("ends too early");
    }
    chunkEnd = at + packed;
    boolean fits = size <= out.length - length;
    lzma(fits ? length + size : out.length);
    if (fits && (at != chunkEnd || code != 0)) {
      throw Xz.damaged("has a chunk of another length than it says");
    }
    return fits;
  }

  private void properties(int value) {
    if (value > (4 * 5 + 4) * 9 + 8) {
      throw Xz.damaged("has unknown properties");
    }
    literalContext = value % 9;
    literalPosition = value / 9 % 5;
    positionMask = (1 << value / 45) - 1;
    if (literalContext + literalPosition > 4) {
      throw Xz.damaged("has unknown properties");
    }
    literals = new short[0x300 << literalContext + literalPosition];
    needsProperties = false;
  }

  private void resetState() {
    state = 0;
    Arrays.fill(last, 0);
    for (short[] probabilities :
        new short[][] {
          isMatch, isRepeat, isRepeat0, isRepeat1, isRepeat2, isLong, special, align, literals,
          slots[0], slots[1], slots[2], slots[3]
        }) {
      Arrays.fill(probabilities, (short) HALF);
    }
    matchLengths.reset();
    repeatLengths.reset();
    needsState = false;
  }

  // -------------------------------------------------------------- range coder

  private int chunkByte() {
    if (at >= chunkEnd) {
      throw Xz.damaged("ends too early");
    }
    return in[at++] & 0xFF;
  }

  private void normalize() {
    if ((range & 0xFF000000) == 0) {
      range <<= 8;
      code = code << 8 | chunkByte();
    }
  }

  private int bit(short[] probabilities, int index) {
    normalize();
    int probability = probabilities[index];
    int bound = (range >>> PROBABILITY_BITS) * probability;
    if (Integer.compareUnsigned(code, bound) < 0) {
      range = bound;
      probabilities[index] += ((1 << PROBABILITY_BITS) - probability) >>> 5;
      return 0;
    }
    range -= bound;
    code -= bound;
    probabilities[index] -= probability >>> 5;
    return 1;
  }

  private int tree(short[] probabilities, int bits) {
    int symbol = 1;
    for (int i = 0; i < bits; i++) {
      symbol = symbol << 1 | bit(probabilities, symbol);
    }
    return symbol - (1 << bits);
  }

  private int reverseTree(short[] probabilities, int offset, int bits) {
    int symbol = 1;
    int result = 0;
    for (int i = 0; i < bits; i++) {
      int bit = bit(probabilities, offset + symbol);
      symbol = symbol << 1 | bit;
      result |= bit << i;
    }
    return result;
  }

  private int direct(int bits) {
    int result = 0;
    for (int i = 0; i < bits; i++) {
      normalize();
      range >>>= 1;
      code -= range;
      int negative = code >> 31;
      code += range & negative;
      result = (result << 1) + 1 + negative;
    }
    return result;
  }

  // -------------------------------------------------------------- symbols

  private void lzma(int end) {
    if (chunkByte() != 0) {
      throw Xz.damaged("has a corrupt chunk");
    }
    code = 0;
    for (int i = 0; i < 4; i++) {
      code = code << 8 | chunkByte();
    }
    range = -1;
    while (length < end) {
      int position = length - dictionary & positionMask;
      if (bit(isMatch, (state << 4) + position) == 0) {
        literal();
      } else {
        match(position, end);
      }
    }
    normalize();
  }

  private void literal() {
    int before = length > dictionary ? out[length - 1] & 0xFF : 0;
    int context =
        (length - dictionary & (1 << literalPosition) - 1) << literalContext
            | before >> 8 - literalContext;
    int base = 0x300 * context;
    int symbol = 1;
    if (state >= FIRST_LITERAL_AFTER_MATCH) {
      int match = byteAt(last[0]);
      while (symbol < 0x100) {
        int matchBit = match >> 7 & 1;
        match <<= 1;
        int bit = bit(literals, base + (1 + matchBit << 8) + symbol);
        symbol = symbol << 1 | bit;
        if (bit != matchBit) {
          break;
        }
      }
    }
    while (symbol < 0x100) {
      symbol = symbol << 1 | bit(literals, base + symbol);
    }
    out[length++] = (byte) symbol;
    state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
  }

  /** The byte so many before, from 0. */
  private int byteAt(int distance) {
    if (distance < 0 || distance >= length - dictionary) {
      throw Xz.damaged("refers to what is before its begin");
    }
    return out[length - 1 - distance] & 0xFF;
  }

  private void match(int position, int end) {
    int copied;
    boolean literalBefore = state < FIRST_LITERAL_AFTER_MATCH;
    if (bit(isRepeat, state) == 0) {
      last[3] = last[2];
      last[2] = last[1];
      last[1] = last[0];
      copied = matchLengths.decode(position);
      last[0] = distance(copied);
      state = literalBefore ? 7 : 10;
    } else {
      if (bit(isRepeat0, state) == 0) {
        if (bit(isLong, (state << 4) + position) == 0) {
          out[length] = (byte) byteAt(last[0]);
          length++;
          state = literalBefore ? 9 : 11;
          return;
        }
      } else {
        int distance;
        if (bit(isRepeat1, state) == 0) {
          distance = last[1];
        } else {
          if (bit(isRepeat2, state) == 0) {
            distance = last[2];
          } else {
            distance = last[3];
            last[3] = last[2];
          }
          last[2] = last[1];
        }
        last[1] = last[0];
        last[0] = distance;
      }
      copied = repeatLengths.decode(position);
      state = literalBefore ? 8 : 11;
    }
    byteAt(last[0]);
    int distance = last[0] + 1;
    if (copied > end - length && end < out.length) {
      throw Xz.damaged("has a chunk of another length than it says");
    }
    for (int left = Math.min(copied, end - length); left > 0; left--) {
      out[length] = out[length - distance];
      length++;
    }
  }

  private int distance(int copied) {
    int slot = tree(slots[Math.min(copied - MATCH_LEAST, 3)], 6);
    if (slot < 4) {
      return slot;
    }
    int bits = (slot >> 1) - 1;
    int distance = (2 | slot & 1) << bits;
    if (slot < 14) {
      return distance + reverseTree(special, distance - slot, bits);
    }
    distance += direct(bits - ALIGN_BITS) << ALIGN_BITS;
    return distance + reverseTree(align, 0, ALIGN_BITS);
  }
}
