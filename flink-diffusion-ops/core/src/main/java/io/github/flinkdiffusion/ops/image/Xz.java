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

  static ImageException damaged(String what) {
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
    Lzma2 chunks = new Lzma2(in, at, out, length);
    boolean whole = chunks.decode();
    at = chunks.at();
    length = chunks.length();
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
}
