/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.Arrays;

/**
 * Decodes a key frame of VP8 (RFC 6386), which is what a lossy WebP file holds, to the samples that
 * libwebp gives. Of changed data it makes some image, as any decoder of arithmetic codes does; what
 * is cut off is refused.
 */
final class Vp8Decoder {
  private static final int HEADER_BYTES = 10;
  private static final int SUBBLOCKS = -1;

  /** Quantization steps of one segment. */
  private record Steps(int y1Dc, int y1Ac, int y2Dc, int y2Ac, int uvDc, int uvAc) {}

  /**
   * The frame's components; of luma so many pixels count, the rest fills macroblocks.
   *
   * @param u of half the width and height, rounded up
   * @param v like u
   */
  record Frame(int width, int height, Vp8Plane y, Vp8Plane u, Vp8Plane v) {}

  private final byte[] data;
  private final int begin;
  private final int end;
  private final int width;
  private final int height;
  private final int columns;
  private final int rows;
  private final Vp8Plane luma;
  private final Vp8Plane blue;
  private final Vp8Plane red;
  private final int[] probabilities = Vp8Numbers.COEFFICIENTS.clone();
  private final Steps[] steps = new Steps[4];
  private final int[] segmentLevels = new int[4];
  private final int[] segmentProbabilities = {255, 255, 255};
  private boolean hasSegments;
  private boolean mapsSegments;
  private boolean absoluteSegments;
  private boolean simpleFilter;
  private int filterLevel;
  private int sharpness;
  private int intraDelta;
  private int subblocksDelta;
  private int skipProbability = -1;
  private Vp8Bits modes;
  private Vp8Bits[] residues;

  /** By column: modes and coefficients of the lowest subblocks above. */
  private final int[] modesAbove;

  private final int[] modesLeft = new int[4];
  private final int[] nonzeroAbove;
  private final int[] nonzeroLeft = new int[9];
  private final int[] coefficients = new int[25 * 16];
  private final int[] edge = new int[13];

  private Vp8Decoder(byte[] data, int begin, int end) {
    this.data = data;
    this.begin = begin;
    this.end = end;
    if (end - begin < HEADER_BYTES
        || (data[begin] & 1) != 0
        || (data[begin + 3] & 0xFF) != 0x9D
        || data[begin + 4] != 1
        || data[begin + 5] != 0x2A) {
      throw new ImageException(
          "Corrupt WebP file: its lossy image does not begin with a key frame");
    }
    this.width = unsigned16(begin + 6) & 0x3FFF;
    this.height = unsigned16(begin + 8) & 0x3FFF;
    this.columns = (width + 15) / 16;
    this.rows = (height + 15) / 16;
    this.luma = new Vp8Plane(16 * columns, 16 * rows);
    this.blue = new Vp8Plane(8 * columns, 8 * rows);
    this.red = new Vp8Plane(8 * columns, 8 * rows);
    this.modesAbove = new int[4 * columns];
    this.nonzeroAbove = new int[9 * columns];
  }

  /**
   * Decodes a frame.
   *
   * @param begin first byte of the frame
   * @param end after its last
   * @throws ImageException if it is no key frame, or a part of it is missing
   */
  static Frame decode(byte[] data, int begin, int end) {
    Vp8Decoder decoder = new Vp8Decoder(data, begin, end);
    decoder.header();
    decoder.macroblocks();
    return new Frame(decoder.width, decoder.height, decoder.luma, decoder.blue, decoder.red);
  }

  private int unsigned16(int at) {
    return data[at] & 0xFF | (data[at + 1] & 0xFF) << 8;
  }

  private int unsigned24(int at) {
    return unsigned16(at) | (data[at + 2] & 0xFF) << 16;
  }

  // ---------------------------------------------------------------- header, section 9

  private void header() {
    int first = unsigned24(begin) >> 5;
    int at = begin + HEADER_BYTES;
    if (first > end - at) {
      throw truncated("its first part has %d bytes".formatted(first));
    }
    modes = new Vp8Bits(data, at, at + first);
    // Color space and clamping; there is one space, and every decoder clamps.
    modes.number(2);
    int[] quantizers = segments();
    filter();
    partitions(at + first, 1 << modes.number(2));
    quantization(quantizers);
    // Whether the probabilities stay for a next frame, of which there is none.
    modes.flag();
    for (int i = 0; i < probabilities.length; i++) {
      if (modes.bit(Vp8Numbers.UPDATES[i]) == 1) {
        probabilities[i] = modes.number(8);
      }
    }
    if (modes.flag()) {
      skipProbability = modes.number(8);
    }
  }

  /** The quantizers of the segments. */
  private int[] segments() {
    int[] quantizers = new int[4];
    hasSegments = modes.flag();
    if (hasSegments) {
      mapsSegments = modes.flag();
      if (modes.flag()) {
        absoluteSegments = modes.flag();
        for (int i = 0; i < 4; i++) {
          quantizers[i] = modes.optionalSigned(7);
        }
        for (int i = 0; i < 4; i++) {
          segmentLevels[i] = modes.optionalSigned(6);
        }
      }
      if (mapsSegments) {
        for (int i = 0; i < 3; i++) {
          segmentProbabilities[i] = modes.flag() ? modes.number(8) : 255;
        }
      }
    }
    return quantizers;
  }

  private void filter() {
    simpleFilter = modes.flag();
    filterLevel = modes.number(6);
    sharpness = modes.number(3);
    if (modes.flag() && modes.flag()) {
      // Of four kinds of frames that a block comes from, the first one, and of four kinds of modes,
      // the first one, are those of key frames.
      intraDelta = modes.optionalSigned(6);
      for (int i = 1; i < 4; i++) {
        modes.optionalSigned(6);
      }
      subblocksDelta = modes.optionalSigned(6);
      for (int i = 1; i < 4; i++) {
        modes.optionalSigned(6);
      }
    }
  }

  private void partitions(int at, int count) {
    int from = at + 3 * (count - 1);
    if (from > end) {
      throw truncated("it has %d parts".formatted(count));
    }
    residues = new Vp8Bits[count];
    for (int i = 0; i < count; i++) {
      int size = i < count - 1 ? unsigned24(at + 3 * i) : end - from;
      if (size > end - from) {
        throw truncated("part %d has %d bytes".formatted(i + 1, size));
      }
      residues[i] = new Vp8Bits(data, from, from + size);
      from += size;
    }
  }

  private ImageException truncated(String what) {
    return new ImageException(
        "Truncated WebP file: %s, but the lossy image has %d bytes".formatted(what, end - begin));
  }

  private void quantization(int[] quantizers) {
    int base = modes.number(7);
    int y1Dc = modes.optionalSigned(4);
    int y2Dc = modes.optionalSigned(4);
    int y2Ac = modes.optionalSigned(4);
    int uvDc = modes.optionalSigned(4);
    int uvAc = modes.optionalSigned(4);
    for (int i = 0; i < 4; i++) {
      int q = !hasSegments ? base : quantizers[i] + (absoluteSegments ? 0 : base);
      steps[i] =
          new Steps(
              step(Vp8Numbers.DC_STEPS, q + y1Dc, 127),
              step(Vp8Numbers.AC_STEPS, q, 127),
              2 * step(Vp8Numbers.DC_STEPS, q + y2Dc, 127),
              Math.max(8, step(Vp8Numbers.AC_STEPS, q + y2Ac, 127) * 155 / 100),
              step(Vp8Numbers.DC_STEPS, q + uvDc, 117),
              step(Vp8Numbers.AC_STEPS, q + uvAc, 127));
    }
  }

  private static int step(int[] table, int index, int greatest) {
    return table[Math.max(0, Math.min(greatest, index))];
  }

  // ---------------------------------------------------------------- macroblocks

  private void macroblocks() {
    Vp8LoopFilter.Strength[] strengths = new Vp8LoopFilter.Strength[columns * rows];
    for (int row = 0; row < rows; row++) {
      Arrays.fill(modesLeft, Vp8Prediction.DC);
      Arrays.fill(nonzeroLeft, 0);
      Vp8Bits bits = residues[row & residues.length - 1];
      for (int column = 0; column < columns; column++) {
        strengths[row * columns + column] = macroblock(bits, column, row);
      }
      if (modes.isExhausted() || bits.isExhausted()) {
        throw truncated("its data end in row %d of %d blocks".formatted(row + 1, rows));
      }
    }
    // Blocks are predicted by pixels that are not filtered.
    for (int row = 0; filterLevel > 0 && row < rows; row++) {
      for (int column = 0; column < columns; column++) {
        smooth(column, row, strengths[row * columns + column]);
      }
    }
  }

  private void smooth(int column, int row, Vp8LoopFilter.Strength strength) {
    if (strength.edge() == 0) {
      return;
    }
    if (simpleFilter) {
      Vp8LoopFilter.simple(luma, 16 * column, 16 * row, strength);
      return;
    }
    Vp8LoopFilter.normal(luma, 16 * column, 16 * row, 16, strength);
    Vp8LoopFilter.normal(blue, 8 * column, 8 * row, 8, strength);
    Vp8LoopFilter.normal(red, 8 * column, 8 * row, 8, strength);
  }

  private Vp8LoopFilter.Strength macroblock(Vp8Bits bits, int column, int row) {
    int segment = 0;
    if (mapsSegments) {
      segment =
          modes.bit(segmentProbabilities[0]) == 0
              ? modes.bit(segmentProbabilities[1])
              : 2 + modes.bit(segmentProbabilities[2]);
    }
    boolean skips = skipProbability >= 0 && modes.bit(skipProbability) == 1;
    int[] subblockModes = new int[16];
    int mode = lumaMode(column, subblockModes);
    int chromaMode = chromaMode();
    Arrays.fill(coefficients, 0);
    boolean coded = !skips && readCoefficients(bits, column, steps[segment], mode == SUBBLOCKS);
    if (skips) {
      forgetCoefficients(column, mode == SUBBLOCKS);
    }
    luma(column, row, mode, subblockModes);
    chroma(blue, column, row, chromaMode, 16);
    chroma(red, column, row, chromaMode, 20);
    int level = filterLevel;
    if (hasSegments) {
      level = segmentLevels[segment] + (absoluteSegments ? 0 : filterLevel);
    }
    level += intraDelta + (mode == SUBBLOCKS ? subblocksDelta : 0);
    return Vp8LoopFilter.Strength.of(
        Math.max(0, Math.min(63, level)), sharpness, coded || mode == SUBBLOCKS);
  }

  /** Section 11.2 and 11.3; probabilities of key frames are fixed. */
  private int lumaMode(int column, int[] subblocks) {
    if (modes.bit(145) == 0) {
      for (int i = 0; i < 16; i++) {
        int above = modesAbove[4 * column + i % 4];
        int left = modesLeft[i / 4];
        int mode = subblockMode((above * 10 + left) * 9);
        subblocks[i] = mode;
        modesAbove[4 * column + i % 4] = mode;
        modesLeft[i / 4] = mode;
      }
      return SUBBLOCKS;
    }
    int mode;
    if (modes.bit(156) == 0) {
      mode = modes.bit(163) == 0 ? Vp8Prediction.DC : Vp8Prediction.VERTICAL;
    } else {
      mode = modes.bit(128) == 0 ? Vp8Prediction.HORIZONTAL : Vp8Prediction.TM;
    }
    Arrays.fill(modesAbove, 4 * column, 4 * column + 4, mode);
    Arrays.fill(modesLeft, mode);
    return mode;
  }

  private int subblockMode(int p) {
    int[] table = Vp8Numbers.SUBBLOCK_MODES;
    if (modes.bit(table[p]) == 0) {
      return Vp8Prediction.DC;
    }
    if (modes.bit(table[p + 1]) == 0) {
      return Vp8Prediction.TM;
    }
    if (modes.bit(table[p + 2]) == 0) {
      return Vp8Prediction.VERTICAL;
    }
    if (modes.bit(table[p + 3]) == 0) {
      if (modes.bit(table[p + 4]) == 0) {
        return Vp8Prediction.HORIZONTAL;
      }
      return modes.bit(table[p + 5]) == 0 ? Vp8Prediction.RIGHT_DOWN : Vp8Prediction.VERTICAL_RIGHT;
    }
    if (modes.bit(table[p + 6]) == 0) {
      return Vp8Prediction.LEFT_DOWN;
    }
    if (modes.bit(table[p + 7]) == 0) {
      return Vp8Prediction.VERTICAL_LEFT;
    }
    return modes.bit(table[p + 8]) == 0
        ? Vp8Prediction.HORIZONTAL_DOWN
        : Vp8Prediction.HORIZONTAL_UP;
  }

  private int chromaMode() {
    if (modes.bit(142) == 0) {
      return Vp8Prediction.DC;
    }
    if (modes.bit(114) == 0) {
      return Vp8Prediction.VERTICAL;
    }
    return modes.bit(183) == 0 ? Vp8Prediction.HORIZONTAL : Vp8Prediction.TM;
  }

  // ---------------------------------------------------------------- coefficients, section 13

  /**
   * Reads a macroblock's coefficients: 16 subblocks of luma, 4 and 4 of chroma, and one of the
   * luma's first ones.
   *
   * @return whether there is any
   */
  private boolean readCoefficients(Vp8Bits bits, int column, Steps step, boolean subblocks) {
    int above = 9 * column;
    boolean coded = false;
    int first = 0;
    int type = 3;
    if (!subblocks) {
      int context = nonzeroAbove[above + 8] + nonzeroLeft[8];
      int read =
          Vp8Residue.read(
              bits, probabilities, 1, context, 0, step.y2Dc, step.y2Ac, coefficients, 384);
      nonzeroAbove[above + 8] = nonzeroLeft[8] = read > 0 ? 1 : 0;
      if (read > 0) {
        Vp8Residue.inverseWalshHadamard(Arrays.copyOfRange(coefficients, 384, 400), coefficients);
      }
      first = 1;
      type = 0;
    }
    for (int i = 0; i < 16; i++) {
      coded |= readSubblock(bits, type, above + i % 4, i / 4, first, step.y1Dc, step.y1Ac, 16 * i);
    }
    for (int i = 16; i < 24; i++) {
      int plane = i < 20 ? 4 : 6;
      coded |=
          readSubblock(
              bits, 2, above + plane + i % 2, plane + i % 4 / 2, 0, step.uvDc, step.uvAc, 16 * i);
    }
    return coded;
  }

  private boolean readSubblock(
      Vp8Bits bits, int type, int above, int left, int first, int dc, int ac, int at) {
    int context = nonzeroAbove[above] + nonzeroLeft[left];
    int read = Vp8Residue.read(bits, probabilities, type, context, first, dc, ac, coefficients, at);
    nonzeroAbove[above] = nonzeroLeft[left] = read > first ? 1 : 0;
    return read > 1 || coefficients[at] != 0;
  }

  /** Of a macroblock without coefficients; what is known of the luma's first ones may stay. */
  private void forgetCoefficients(int column, boolean subblocks) {
    int kept = subblocks ? 8 : 9;
    Arrays.fill(nonzeroAbove, 9 * column, 9 * column + kept, 0);
    Arrays.fill(nonzeroLeft, 0, kept, 0);
  }

  // ---------------------------------------------------------------- pixels

  private void luma(int column, int row, int mode, int[] subblockModes) {
    int x = 16 * column;
    int y = 16 * row;
    if (mode != SUBBLOCKS) {
      Vp8Prediction.block(luma, x, y, 16, mode);
    }
    for (int i = 0; i < 16; i++) {
      int first = luma.at(x + 4 * (i % 4), y + 4 * (i / 4));
      if (mode == SUBBLOCKS) {
        lookAround(column, row, i, first);
        Vp8Prediction.subblock(luma, first, subblockModes[i], edge);
      }
      Vp8Residue.add(coefficients, 16 * i, luma, first);
    }
  }

  /**
   * The pixels around a subblock. Those above and to the right of the macroblock's last column are
   * the same for all its rows: those of the macroblock above, which are known already.
   */
  private void lookAround(int column, int row, int subblock, int first) {
    for (int i = 0; i < 4; i++) {
      edge[3 - i] = luma.get(first + i * luma.stride - 1);
      edge[5 + i] = luma.get(first - luma.stride + i);
    }
    edge[4] = luma.get(first - luma.stride - 1);
    boolean last = subblock % 4 == 3;
    int above = last ? luma.at(16 * column + 16, 16 * row - 1) : first - luma.stride + 4;
    boolean outside = last && column == columns - 1 && row > 0;
    for (int i = 0; i < 4; i++) {
      // Beyond the image, its last pixel goes on; above it, the border does.
      edge[9 + i] = luma.get(outside ? above - 1 : above + i);
    }
  }

  private void chroma(Vp8Plane plane, int column, int row, int mode, int subblock) {
    int x = 8 * column;
    int y = 8 * row;
    Vp8Prediction.block(plane, x, y, 8, mode);
    for (int i = 0; i < 4; i++) {
      Vp8Residue.add(
          coefficients, 16 * (subblock + i), plane, plane.at(x + 4 * (i % 2), y + 4 * (i / 2)));
    }
  }
}
