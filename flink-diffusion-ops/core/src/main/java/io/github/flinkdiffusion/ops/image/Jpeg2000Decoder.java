/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import io.github.flinkdiffusion.ops.image.Jpeg2000Codestream.Coding;
import io.github.flinkdiffusion.ops.image.Jpeg2000Codestream.Header;
import io.github.flinkdiffusion.ops.image.Jpeg2000Codestream.Tile;
import io.github.flinkdiffusion.ops.image.Jpeg2000Precinct.Band;
import io.github.flinkdiffusion.ops.image.Jpeg2000Precinct.CodeBlock;
import io.github.flinkdiffusion.ops.image.Jpeg2000Precinct.Part;
import io.github.flinkdiffusion.ops.image.Jpeg2000Samples.Area;
import java.util.ArrayList;
import java.util.List;

/**
 * JPEG 2000 codestreams (ITU-T T.800), reversible and irreversible, in tiles, layers and all
 * progressions. Components have the same size. Regions of interest, changes of the progression and
 * headers that are packed together are refused, as is the high-throughput variant.
 *
 * <p>{@link Jpeg2000Codestream} reads the headers, {@link Jpeg2000Packets} the packets; the numbers
 * that they hold become samples here.
 */
final class Jpeg2000Decoder {
  /**
   * A decoded image.
   *
   * @param planes all of a component before the next
   */
  record Image(
      int width, int height, int components, int precision, boolean signed, int[] planes) {}

  private final Jpeg2000Codestream codestream;
  private final int[] planes;
  private final Jpeg2000Block block = new Jpeg2000Block();

  private Jpeg2000Decoder(Jpeg2000Codestream codestream) {
    this.codestream = codestream;
    planes =
        new int
            [Math.multiplyExact(
                codestream.components,
                Math.multiplyExact(codestream.width(), codestream.height()))];
  }

  /**
   * @param mostWidth and {@code mostHeight}: a file that says more is refused
   */
  static Image decode(byte[] file, int mostWidth, int mostHeight) {
    return new Jpeg2000Decoder(new Jpeg2000Codestream(file, mostWidth, mostHeight)).image();
  }

  private Image image() {
    List<Tile> tiles = codestream.tiles;
    for (int i = 0; i < tiles.size(); i++) {
      if (tiles.get(i) == null) {
        throw Jpeg2000Codestream.damaged("tile %d is missing".formatted(i));
      }
      tile(codestream.area(i), tiles.get(i));
      tiles.set(i, null);
    }
    return new Image(
        codestream.width(),
        codestream.height(),
        codestream.components,
        codestream.precision,
        codestream.signed,
        planes);
  }

  private void tile(Area area, Tile tile) {
    Header header = tile.header;
    List<Jpeg2000Precinct> precincts = new ArrayList<>();
    for (int c = 0; c < codestream.components; c++) {
      if (header.coding[c] == null || header.quantization[c] == null) {
        throw Jpeg2000Codestream.damaged("no coding style or no quantization");
      }
      Jpeg2000Precinct.add(
          c, header.coding[c], header.quantization[c], codestream.precision, area, precincts);
    }
    Jpeg2000Packets.read(codestream.packets(tile), header, precincts);
    boolean transformed = header.colorTransform && codestream.components >= 3;
    boolean reversible = header.coding[0].reversible;
    for (int c = 1; transformed && c < 3; c++) {
      if (header.coding[c].reversible != reversible) {
        throw Jpeg2000Codestream.damaged("a color transform over two kinds of wavelets");
      }
    }
    int width = area.width();
    int height = area.height();
    int[][] whole = new int[codestream.components][];
    float[][] real = new float[codestream.components][];
    for (int c = 0; c < codestream.components; c++) {
      int component = c;
      List<Jpeg2000Precinct> own =
          precincts.stream().filter(one -> one.component() == component).toList();
      Coding coding = header.coding[c];
      Jpeg2000Samples samples =
          Jpeg2000Samples.compose(
              coding.reversible ? Jpeg2000Samples.Wholes.NONE : Jpeg2000Samples.Reals.NONE,
              coding.levels,
              area,
              (resolution, part, into) -> place(own, resolution, coding.style, part, into));
      if (samples instanceof Jpeg2000Samples.Wholes wholes) {
        whole[c] = wholes.values();
      } else if (samples instanceof Jpeg2000Samples.Reals reals) {
        real[c] = reals.values();
      }
    }
    if (transformed) {
      colors(whole, real, reversible, width * height);
    }
    int shift = codestream.signed ? 0 : 1 << codestream.precision - 1;
    int least = codestream.signed ? -(1 << codestream.precision - 1) : 0;
    int most =
        codestream.signed ? (1 << codestream.precision - 1) - 1 : (1 << codestream.precision) - 1;
    int across = codestream.width();
    for (int c = 0; c < codestream.components; c++) {
      for (int y = 0; y < height; y++) {
        int to =
            (c * codestream.height() + area.y0() - codestream.y0 + y) * across
                + area.x0()
                - codestream.x0;
        for (int x = 0; x < width; x++) {
          int value =
              whole[c] != null ? whole[c][y * width + x] : (int) Math.rint(real[c][y * width + x]);
          planes[to + x] = Math.max(least, Math.min(most, value + shift));
        }
      }
    }
  }

  private static void colors(int[][] whole, float[][] real, boolean reversible, int size) {
    for (int i = 0; i < size; i++) {
      if (reversible) {
        int green = whole[0][i] - (whole[1][i] + whole[2][i] >> 2);
        int red = whole[2][i] + green;
        whole[2][i] = whole[1][i] + green;
        whole[1][i] = green;
        whole[0][i] = red;
      } else {
        float y = real[0][i];
        float cb = real[1][i];
        float cr = real[2][i];
        real[0][i] = y + 1.402f * cr;
        real[1][i] = y - 0.344136f * cb - 0.714136f * cr;
        real[2][i] = y + 1.772f * cb;
      }
    }
  }

  /** Decodes a block; its numbers are then in {@link #block}, doubled. */
  private void decode(CodeBlock coded, Band band, int style) {
    block.begin(coded.x1 - coded.x0, coded.y1 - coded.y0, band.orientation, style);
    int from = 0;
    for (int[] code : coded.codes) {
      int to = Math.min(coded.filled, from + code[3]);
      block.passes(coded.data, from, to, code[0], code[1], coded.planes);
      from = to;
    }
  }

  /**
   * Puts the numbers of a resolution's bands where the inverse transform wants them: interleaved.
   */
  private void place(
      List<Jpeg2000Precinct> precincts, int r, int style, Area area, Jpeg2000Samples samples) {
    for (Jpeg2000Precinct precinct : precincts) {
      if (precinct.resolution() != r) {
        continue;
      }
      for (Part part : precinct.parts()) {
        Band band = part.band;
        int step = r == 0 ? 1 : 2;
        int highX = band.highX();
        int highY = band.highY();
        for (CodeBlock coded : part.blocks) {
          if (coded.passes == 0) {
            continue;
          }
          decode(coded, band, style);
          coded.data = new byte[0];
          for (int y = coded.y0; y < coded.y1; y++) {
            int row = (step * y + highY - area.y0()) * area.width();
            for (int x = coded.x0; x < coded.x1; x++) {
              samples.put(
                  row + step * x + highX - area.x0(),
                  block.doubled(x - coded.x0, y - coded.y0),
                  band.step);
            }
          }
        }
      }
    }
  }
}
