/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import io.github.flinkdiffusion.ops.image.Jpeg2000Block.Orientation;
import io.github.flinkdiffusion.ops.image.Jpeg2000Codestream.Coding;
import io.github.flinkdiffusion.ops.image.Jpeg2000Codestream.Quantization;
import io.github.flinkdiffusion.ops.image.Jpeg2000Samples.Area;
import java.util.ArrayList;
import java.util.List;

/**
 * The code blocks of one component, resolution and place (T.800, annex B): what one packet adds a
 * layer to.
 *
 * @param index among those of its resolution
 * @param x of its upper left corner in the image, by which some progressions order
 */
record Jpeg2000Precinct(
    int component, int resolution, int index, long x, long y, List<Part> parts) {

  /** Of a tile, far more than programs make; a hostile file may say that each pixel has one. */
  private static final int MOST_PRECINCTS = 1 << 16;

  /** What packets have brought of a block so far. */
  static final class CodeBlock {
    int x0;
    int y0;
    int x1;
    int y1;
    boolean included;
    int planes;
    int lengthBits = 3;
    int passes;
    // Passes and bytes of each code; bytes come in spans, one a layer.
    final List<int[]> codes = new ArrayList<>(1); // {first pass, passes, most passes, bytes}
    byte[] data = new byte[0];
    int filled;
  }

  /** A band of a resolution: where it is, and how its numbers are coded. */
  static final class Band {
    Orientation orientation;
    int x0;
    int y0;
    int x1;
    int y1;
    int planes;
    float step;

    /** 1 for the high frequencies of rows. */
    int highX() {
      return orientation == Orientation.HL || orientation == Orientation.HH ? 1 : 0;
    }

    /** 1 for the high frequencies of columns. */
    int highY() {
      return orientation == Orientation.LH || orientation == Orientation.HH ? 1 : 0;
    }
  }

  /** The blocks that a precinct has of a band. */
  static final class Part {
    Band band;
    int across;
    int down;
    CodeBlock[] blocks;
    Jpeg2000TagTree inclusion;
    Jpeg2000TagTree empty;
  }

  /**
   * Adds those of a component of a tile.
   *
   * @param precision bits of the image's samples
   */
  static void add(
      int component,
      Coding coding,
      Quantization quantization,
      int precision,
      Area tile,
      List<Jpeg2000Precinct> into) {
    for (int r = 0; r <= coding.levels; r++) {
      int n = coding.levels - r;
      Area area = tile.reduced(n);
      List<Band> bands = new ArrayList<>();
      for (Orientation orientation : Orientation.values()) {
        if (r == 0 == (orientation == Orientation.LL)) {
          bands.add(band(orientation, r, coding, quantization, precision, tile));
        }
      }
      if (area.width() <= 0 || area.height() <= 0) {
        continue;
      }
      int ppx = coding.precincts[r] & 15;
      int ppy = coding.precincts[r] >> 4;
      int left = area.x0() >> ppx;
      int top = area.y0() >> ppy;
      int across = Area.up(area.x1(), ppx) - left;
      int down = Area.up(area.y1(), ppy) - top;
      if ((long) across * down + into.size() > MOST_PRECINCTS) {
        throw Jpeg2000Codestream.damaged(
            "more than %d precincts in a tile".formatted(MOST_PRECINCTS));
      }
      for (int k = 0; k < across * down; k++) {
        int px = left + k % across;
        int py = top + k / across;
        List<Part> parts = new ArrayList<>();
        for (Band band : bands) {
          int halved = r > 0 ? 1 : 0;
          parts.add(part(band, coding, px, py, ppx - halved, ppy - halved));
        }
        into.add(
            new Jpeg2000Precinct(
                component,
                r,
                k,
                Math.max(tile.x0(), (long) px << ppx + n),
                Math.max(tile.y0(), (long) py << ppy + n),
                parts));
      }
    }
  }

  private static Band band(
      Orientation orientation,
      int r,
      Coding coding,
      Quantization quantization,
      int precision,
      Area tile) {
    int level = r == 0 ? coding.levels : coding.levels - r + 1;
    Band band = new Band();
    band.orientation = orientation;
    int highX = band.highX();
    int highY = band.highY();
    band.x0 = side(tile.x0(), level, highX);
    band.y0 = side(tile.y0(), level, highY);
    band.x1 = side(tile.x1(), level, highX);
    band.y1 = side(tile.y1(), level, highY);
    int index = r == 0 ? 0 : 3 * (r - 1) + orientation.ordinal();
    boolean derived = quantization.style() == 1;
    if (!derived && index >= quantization.exponents().length) {
      throw Jpeg2000Codestream.damaged("the quantization of a band is missing");
    }
    int exponent =
        derived
            ? quantization.exponents()[0] - (r == 0 ? 0 : r - 1)
            : quantization.exponents()[index];
    int mantissa = quantization.mantissas()[derived ? 0 : index];
    band.planes = quantization.guard() + exponent - 1;
    int gain = highX + highY;
    band.step =
        coding.reversible
            ? 1
            : (float)
                (Math.pow(2, precision + gain - exponent)
                    * (1 + (quantization.style() == 0 ? 0 : mantissa / 2048.0)));
    return band;
  }

  private static int side(int value, int level, int high) {
    if (level == 0) {
      return value;
    }
    if (level > 30) {
      return high == 1 ? 0 : value > 0 ? 1 : 0;
    }
    long offset = (1L << level - 1) * high;
    return (int) (value - offset + (1L << level) - 1 >> level);
  }

  /** A precinct's part of a band: blocks on the band's grid of them. */
  private static Part part(Band band, Coding coding, int px, int py, int ppx, int ppy) {
    Part part = new Part();
    part.band = band;
    int left = (int) Math.max(band.x0, Math.min((long) px << ppx, band.x1));
    int top = (int) Math.max(band.y0, Math.min((long) py << ppy, band.y1));
    int right = (int) Math.max(left, Math.min((px + 1L) << ppx, band.x1));
    int bottom = (int) Math.max(top, Math.min((py + 1L) << ppy, band.y1));
    int bits = Math.min(coding.blockWidth, ppx);
    int rows = Math.min(coding.blockHeight, ppy);
    boolean empty = right <= left || bottom <= top;
    int firstX = left >> bits;
    int firstY = top >> rows;
    part.across = empty ? 0 : Area.up(right, bits) - firstX;
    part.down = empty ? 0 : Area.up(bottom, rows) - firstY;
    part.blocks = new CodeBlock[part.across * part.down];
    part.inclusion = new Jpeg2000TagTree(part.across, part.down);
    part.empty = new Jpeg2000TagTree(part.across, part.down);
    for (int i = 0; i < part.blocks.length; i++) {
      CodeBlock block = new CodeBlock();
      int x = firstX + i % part.across;
      int y = firstY + i / part.across;
      block.x0 = Math.max(left, x << bits);
      block.y0 = Math.max(top, y << rows);
      block.x1 = Math.min(right, x + 1 << bits);
      block.y1 = Math.min(bottom, y + 1 << rows);
      part.blocks[i] = block;
    }
    return part;
  }
}
