/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.zip.CRC32;

/**
 * Unpacks an .xz stream, as blocks of TIFF files with compression 34925 (LZMA) are. The size that
 * comes out is known, so what has come out is the dictionary, and a hostile stream decides on no
 * memory. Filters are LZMA2 and, before it, delta, which libtiff always takes; checksums are
 * compared.
 *
 * @see <a href="https://tukaani.org/xz/xz-file-format.txt">The .xz file format</a>
 */
final class Xz {
  private static final byte[] MAGIC = {(byte) 0xFD, '7', 'z', 'X', 'Z', 0};
  private static final int LZMA2 = 0x21;
  private static final int DELTA = 0x03;
  private static final int CRC_32 = 1;
  private static final int CRC_64 = 4;
  private static final int SHA_256 = 10;
  private static final long[] CRC_64_TABLE = new long[256];

  static {
    for (int i = 0; i < 256; i++) {
      long crc = i;
      for (int bit = 0; bit < 8; bit++) {
        crc = (crc & 1) == 0 ? crc >>> 1 : crc >>> 1 ^ 0xC96C5795D7870F42L;
      }
      CRC_64_TABLE[i] = crc;
    }
  }

  private final byte[] in;
  private final byte[] out;
  private int at;
  private int length;

  private Xz(byte[] in, byte[] out) {
    this.in = in;
    this.out = out;
  }

  /**
   * @param block filled from its begin; what does not fit is left out
   * @return how much of it was filled
   * @throws ImageException for what is no such stream
   */
  static int unpack(byte[] packed, byte[] block) {
    Xz xz = new Xz(packed, block);
    xz.stream();
    return xz.length;
  }

  private static ImageException damaged(String what) {
    return new ImageException("Corrupt TIFF file: a block packed as LZMA " + what);
  }

  private int next() {
    if (at >= in.length) {
      throw damaged("ends too early");
    }
    return in[at++] & 0xFF;
  }

  private void stream() {
    for (byte magic : MAGIC) {
      if (next() != (magic & 0xFF)) {
        throw damaged("is no .xz stream");
      }
    }
    int begin = at;
    int reserved = next();
    int check = next();
    if (reserved != 0 || check > 15) {
      throw damaged("has unknown flags");
    }
    requireCrc32(begin, at);
    // Three kinds of each size.
    int checkBytes = check == 0 ? 0 : 4 << (check - 1) / 3;
    while (length < out.length) {
      int size = next();
      if (size == 0) {
        return; // the index
      }
      block(at - 1, (size + 1) * 4, check, checkBytes);
    }
  }

  private void requireCrc32(int begin, int end) {
    CRC32 crc = new CRC32();
    crc.update(in, begin, end - begin);
    at = end;
    if (little(4) != crc.getValue()) {
      throw damaged("has a corrupt header");
    }
  }

  private long little(int bytes) {
    long value = 0;
    for (int i = 0; i < bytes; i++) {
      value |= (long) next() << 8 * i;
    }
    return value;
  }

  private long variable(int end) {
    long value = 0;
    for (int shift = 0; shift < 63; shift += 7) {
      if (at >= end) {
        break;
      }
      int next = next();
      value |= (long) (next & 0x7F) << shift;
      if (next < 0x80) {
        return value;
      }
    }
    throw damaged("has a corrupt header");
  }

  private void block(int begin, int headerBytes, int check, int checkBytes) {
    int end = begin + headerBytes - 4;
    if (end + 4 > in.length) {
      throw damaged("ends too early");
    }
    int flags = next();
    if ((flags & 0x3C) != 0) {
      throw damaged("has unknown flags");
    }
    for (int sizes = (flags >> 6 & 1) + (flags >> 7); sizes > 0; sizes--) {
      variable(end);
    }
    int filters = (flags & 3) + 1;
    int distance = 0;
    for (int i = 0; i < filters; i++) {
      long filter = variable(end);
      long properties = variable(end);
      boolean last = i == filters - 1;
      if (properties != 1 || last != (filter == LZMA2) || !last && (filter != DELTA || i > 0)) {
        throw new ImageException(
            "A TIFF file with a block packed as LZMA with the filter %d; LZMA2 (33) and delta (3) before it are supported"
                .formatted(filter));
      }
      int property = next();
      if (filter == DELTA) {
        distance = property + 1;
      }
    }
    while (at < end) {
      if (next() != 0) {
        throw damaged("has a corrupt header");
      }
    }
    requireCrc32(begin, end);
    int data = at;
    int from = length;
    boolean whole = new Lzma2(from).decode();
    if (distance > 0) {
      for (int i = from + distance; i < length; i++) {
        out[i] += out[i - distance];
      }
    }
    if (!whole) {
      return; // There is more than was asked for, so nothing to compare a checksum with.
    }
    while ((at - data) % 4 != 0) {
      if (next() != 0) {
        throw damaged("has a corrupt end");
      }
    }
    compare(from, check, checkBytes);
  }

  private void compare(int from, int check, int checkBytes) {
    if (check == CRC_32) {
      CRC32 crc = new CRC32();
      crc.update(out, from, length - from);
      requireEqual(little(4) == crc.getValue());
    } else if (check == CRC_64) {
      long crc = -1;
      for (int i = from; i < length; i++) {
        crc = CRC_64_TABLE[(int) (crc ^ out[i]) & 0xFF] ^ crc >>> 8;
      }
      requireEqual(little(8) == ~crc);
    } else if (check == SHA_256) {
      try {
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        digest.update(out, from, length - from);
        byte[] found = new byte[checkBytes];
        for (int i = 0; i < checkBytes; i++) {
          found[i] = (byte) next();
        }
        requireEqual(Arrays.equals(found, digest.digest()));
      } catch (NoSuchAlgorithmException e) {
        throw new IllegalStateException(e);
      }
    } else {
      for (int i = 0; i < checkBytes; i++) {
        next();
      }
    }
  }

  private static void requireEqual(boolean equal) {
    if (!equal) {
      throw damaged("has another checksum than it says");
    }
  }

  /** The chunks of a block; writes behind what is there. */
  private final class Lzma2 {
    private static final int PROBABILITY_BITS = 11;
    private static final int HALF = 1 << PROBABILITY_BITS - 1;
    private static final int STATES = 12;
    private static final int FIRST_LITERAL_AFTER_MATCH = 7;
    private static final int MATCH_LEAST = 2;
    private static final int ALIGN_BITS = 4;

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

    Lzma2(int begin) {
      dictionary = begin;
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
          throw damaged("has an unknown chunk");
        }
        if (newDictionary) {
          dictionary = length;
        }
        if (control < 0x80) {
          int size = (next() << 8 | next()) + 1;
          if (in.length - at < size) {
            throw damaged("ends too early");
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
        throw damaged("begins without properties");
      }
      if (reset >= 1) {
        resetState();
      } else if (needsState) {
        throw damaged("begins without a state");
      }
      if (in.length - at < packed) {
        throw damaged("ends too early");
      }
      chunkEnd = at + packed;
      boolean fits = size <= out.length - length;
      lzma(fits ? length + size : out.length);
      if (fits && (at != chunkEnd || code != 0)) {
        throw damaged("has a chunk of another length than it says");
      }
      return fits;
    }

    private void properties(int value) {
      if (value > (4 * 5 + 4) * 9 + 8) {
        throw damaged("has unknown properties");
      }
      literalContext = value % 9;
      literalPosition = value / 9 % 5;
      positionMask = (1 << value / 45) - 1;
      if (literalContext + literalPosition > 4) {
        throw damaged("has unknown properties");
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
        throw damaged("ends too early");
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
        throw damaged("has a corrupt chunk");
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
        throw damaged("refers to what is before its begin");
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
        throw damaged("has a chunk of another length than it says");
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
}
