/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/**
 * Unpacks a strip or tile. The size that comes out is known from the file's header, so what a block
 * unpacks to is bounded whatever it says; one that gives less is damaged.
 */
final class TiffBlocks {
  private static final int LZW_CLEAR = 256;
  private static final int LZW_END = 257;
  private static final int LZW_CODES = 4096;

  private TiffBlocks() {}

  static boolean supports(int compression) {
    return switch (compression) {
      case Tiff.UNCOMPRESSED, Tiff.LZW, Tiff.DEFLATE, Tiff.OLD_DEFLATE, Tiff.PACK_BITS, Tiff.LZMA ->
          true;
      default -> false;
    };
  }

  static byte[] unpacked(int compression, byte[] packed, int size) {
    byte[] block = new byte[size];
    int length =
        switch (compression) {
          case Tiff.UNCOMPRESSED -> copy(packed, block);
          case Tiff.LZW -> lzw(packed, block);
          case Tiff.PACK_BITS -> packBits(packed, block);
          case Tiff.LZMA -> Xz.unpack(packed, block);
          default -> inflate(packed, block);
        };
    if (length < size) {
      throw new ImageException(
          "Corrupt TIFF file: a block holds %d bytes of %d".formatted(length, size));
    }
    return block;
  }

  private static int copy(byte[] packed, byte[] block) {
    int length = Math.min(packed.length, block.length);
    System.arraycopy(packed, 0, block, 0, length);
    return length;
  }

  private static int inflate(byte[] packed, byte[] block) {
    Inflater inflater = new Inflater();
    try {
      inflater.setInput(packed);
      int length = 0;
      while (length < block.length) {
        int read = inflater.inflate(block, length, block.length - length);
        if (read == 0) {
          break;
        }
        length += read;
      }
      return length;
    } catch (DataFormatException e) {
      throw new ImageException("Corrupt TIFF file: a block cannot be unpacked", e);
    } finally {
      inflater.end();
    }
  }

  private static int packBits(byte[] packed, byte[] block) {
    int in = 0;
    int out = 0;
    while (in < packed.length && out < block.length) {
      int head = packed[in++];
      if (head >= 0) {
        int length = Math.min(head + 1, Math.min(packed.length - in, block.length - out));
        System.arraycopy(packed, in, block, out, length);
        in += length;
        out += length;
      } else if (head != -128 && in < packed.length) {
        int length = Math.min(1 - head, block.length - out);
        Arrays.fill(block, out, out + length, packed[in++]);
        out += length;
      }
    }
    return out;
  }

  /** Codes of 9 to 12 bits, the first bit of a byte first, one code earlier wide than in GIF. */
  private static int lzw(byte[] packed, byte[] block) {
    // Each code is a piece of the output: that of an earlier code and the byte after it.
    int[] start = new int[LZW_CODES];
    int[] lengths = new int[LZW_CODES];
    int next = LZW_END + 1;
    int width = 9;
    int previousStart = -1;
    int previousLength = 0;
    int bits = 0;
    int held = 0;
    int in = 0;
    int out = 0;
    while (out < block.length) {
      while (held < width) {
        if (in == packed.length) {
          return out;
        }
        bits = bits << 8 | packed[in++] & 0xFF;
        held += 8;
      }
      int code = bits >>> (held - width) & ((1 << width) - 1);
      held -= width;
      bits &= (1 << held) - 1;
      if (code == LZW_END) {
        return out;
      }
      if (code == LZW_CLEAR) {
        next = LZW_END + 1;
        width = 9;
        previousStart = -1;
        continue;
      }
      int from = out;
      int length;
      if (code < LZW_CLEAR) {
        length = 1;
        block[out++] = (byte) code;
      } else if (previousStart < 0 || code > next || code == next && next == LZW_CODES) {
        throw new ImageException(
            "Corrupt TIFF file: a block has a code %d before it was made".formatted(code));
      } else {
        int pieceStart = code == next ? previousStart : start[code];
        length = code == next ? previousLength + 1 : lengths[code];
        // Byte by byte, since a piece may reach into itself.
        for (int i = 0; i < length && out < block.length; i++) {
          block[out++] = block[pieceStart + i];
        }
      }
      if (previousStart >= 0 && next < LZW_CODES) {
        start[next] = previousStart;
        lengths[next] = previousLength + 1;
        next++;
      }
      if (next >= (1 << width) - 1 && width < 12) {
        width++;
      }
      previousStart = from;
      previousLength = length;
    }
    return out;
  }

  /**
   * Undoes prediction, in place.
   *
   * @param predictor 1 none, 2 differences along rows, 3 the same of floats' bytes by significance,
   *     after which values are big-endian
   * @param samples of a pixel
   * @param bytes of a sample: 1, 2, 4 or 8
   */
  static void unpredict(
      int predictor, byte[] block, int rowBytes, int samples, int bytes, ByteOrder order) {
    if (predictor == 1) {
      return;
    }
    ByteBuffer buffer = ByteBuffer.wrap(block).order(order);
    byte[] row = new byte[rowBytes];
    for (int start = 0; start + rowBytes <= block.length; start += rowBytes) {
      int end = start + rowBytes;
      if (predictor == 3) {
        for (int i = start + samples; i < end; i++) {
          block[i] += block[i - samples];
        }
        int values = rowBytes / bytes;
        for (int i = 0; i < values; i++) {
          for (int b = 0; b < bytes; b++) {
            row[i * bytes + b] = block[start + b * values + i];
          }
        }
        System.arraycopy(row, 0, block, start, rowBytes);
      } else {
        int step = samples * bytes;
        for (int i = start + step; i + bytes <= end; i += bytes) {
          switch (bytes) {
            case 1 -> block[i] += block[i - step];
            case 2 -> buffer.putShort(i, (short) (buffer.getShort(i) + buffer.getShort(i - step)));
            case 4 -> buffer.putInt(i, buffer.getInt(i) + buffer.getInt(i - step));
            default -> buffer.putLong(i, buffer.getLong(i) + buffer.getLong(i - step));
          }
        }
      }
    }
  }
}
