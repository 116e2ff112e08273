/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import io.github.flinkdiffusion.ops.image.Jpeg2000Codestream.Header;
import io.github.flinkdiffusion.ops.image.Jpeg2000Precinct.CodeBlock;
import io.github.flinkdiffusion.ops.image.Jpeg2000Precinct.Part;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/** Reads a tile's packets in the order of its progression (T.800, annex B). */
final class Jpeg2000Packets {
  /** Planes whose numbers fit an int, doubled. */
  private static final int MOST_PLANES = 29;

  private final byte[] data;
  private final Header header;

  private Jpeg2000Packets(byte[] data, Header header) {
    this.data = data;
    this.header = header;
  }

  /**
   * Gives the precincts' blocks what their packets hold.
   *
   * @param data the tile's packets, one after the other
   */
  static void read(byte[] data, Header header, List<Jpeg2000Precinct> precincts) {
    new Jpeg2000Packets(data, header).read(precincts);
  }

  private void read(List<Jpeg2000Precinct> precincts) {
    Comparator<Jpeg2000Precinct> byIndex = Comparator.comparingInt(Jpeg2000Precinct::index);
    Comparator<Jpeg2000Precinct> byPlace =
        Comparator.comparingLong(Jpeg2000Precinct::y).thenComparingLong(Jpeg2000Precinct::x);
    Comparator<Jpeg2000Precinct> order =
        switch (header.progression) {
          case 0, 1 ->
              Comparator.comparingInt(Jpeg2000Precinct::resolution)
                  .thenComparingInt(Jpeg2000Precinct::component)
                  .thenComparing(byIndex);
          case 2 ->
              Comparator.comparingInt(Jpeg2000Precinct::resolution)
                  .thenComparing(byPlace)
                  .thenComparingInt(Jpeg2000Precinct::component)
                  .thenComparing(byIndex);
          case 3 ->
              byPlace
                  .thenComparingInt(Jpeg2000Precinct::component)
                  .thenComparingInt(Jpeg2000Precinct::resolution)
                  .thenComparing(byIndex);
          default ->
              Comparator.comparingInt(Jpeg2000Precinct::component)
                  .thenComparing(byPlace)
                  .thenComparingInt(Jpeg2000Precinct::resolution)
                  .thenComparing(byIndex);
        };
    List<Jpeg2000Precinct> ordered = precincts.stream().sorted(order).toList();
    int place = 0;
    if (header.progression == 0) {
      for (int layer = 0; layer < header.layers; layer++) {
        for (Jpeg2000Precinct precinct : ordered) {
          place = packet(place, precinct, layer);
        }
      }
      return;
    }
    if (header.progression == 1) {
      for (int from = 0; from < ordered.size(); ) {
        int to = from;
        while (to < ordered.size()
            && ordered.get(to).resolution() == ordered.get(from).resolution()) {
          to++;
        }
        for (int layer = 0; layer < header.layers; layer++) {
          for (Jpeg2000Precinct precinct : ordered.subList(from, to)) {
            place = packet(place, precinct, layer);
          }
        }
        from = to;
      }
      return;
    }
    for (Jpeg2000Precinct precinct : ordered) {
      for (int layer = 0; layer < header.layers; layer++) {
        place = packet(place, precinct, layer);
      }
    }
  }

  /** Reads a packet, which adds a layer to the blocks of a precinct; gives the place behind it. */
  private int packet(int from, Jpeg2000Precinct precinct, int layer) {
    int place = from;
    if (isMark(place, 0x91)) {
      place += 6;
    }
    Jpeg2000Bits bits = new Jpeg2000Bits(data, place, data.length);
    List<CodeBlock> blocks = new ArrayList<>();
    List<int[]> lengths = new ArrayList<>();
    if (bits.bit() == 1) {
      for (Part part : precinct.parts()) {
        for (int i = 0; i < part.blocks.length; i++) {
          CodeBlock block = part.blocks[i];
          int x = i % part.across;
          int y = i / part.across;
          boolean included =
              block.included
                  ? bits.bit() == 1
                  : part.inclusion.read(bits, x, y, layer + 1) <= layer;
          if (!included) {
            continue;
          }
          if (!block.included) {
            block.included = true;
            int empty = 0;
            while (part.empty.read(bits, x, y, empty + 1) > empty) {
              if (++empty > part.band.planes) {
                throw Jpeg2000Codestream.damaged("a block of fewer than no planes");
              }
            }
            block.planes = part.band.planes - empty;
            if (block.planes > MOST_PLANES) {
              throw Jpeg2000Codestream.unsupported(block.planes + " planes of bits");
            }
          }
          codes(bits, block, header.coding[precinct.component()].style, blocks, lengths);
        }
      }
    }
    place = bits.end();
    if (isMark(place, 0x92)) {
      place += 2;
    }
    for (int i = 0; i < blocks.size(); i++) {
      CodeBlock block = blocks.get(i);
      int[] code = lengths.get(i);
      int length = code[4];
      if (length < 0 || length > data.length - place) {
        throw new ImageException(
            "Truncated JPEG 2000 data: %d bytes of a block are needed, %d are there"
                .formatted(length, data.length - place));
      }
      if (block.filled + length > block.data.length) {
        block.data = Arrays.copyOf(block.data, block.filled + length);
      }
      System.arraycopy(data, place, block.data, block.filled, length);
      block.filled += length;
      place += length;
    }
    return place;
  }

  private boolean isMark(int place, int mark) {
    return place + 1 < data.length
        && (data[place] & 0xFF) == 0xFF
        && (data[place + 1] & 0xFF) == mark;
  }

  /** The passes that a packet adds to a block, and how many bytes each code gets. */
  private static void codes(
      Jpeg2000Bits bits, CodeBlock block, int style, List<CodeBlock> blocks, List<int[]> lengths) {
    int passes = passes(bits);
    while (bits.bit() == 1) {
      if (++block.lengthBits > 31) {
        throw Jpeg2000Codestream.damaged("a length of more bits than there can be");
      }
    }
    if (block.passes + passes > Math.max(0, 3 * block.planes - 2)) {
      throw Jpeg2000Codestream.damaged(
          "%d passes of %d planes".formatted(block.passes + passes, block.planes));
    }
    while (passes > 0) {
      int[] code = block.codes.isEmpty() ? null : block.codes.get(block.codes.size() - 1);
      if (code == null || code[1] == code[2]) {
        code = new int[] {block.passes, 0, Jpeg2000Block.most(block.passes, style), 0, 0};
        block.codes.add(code);
      }
      int count = Math.min(passes, code[2] - code[1]);
      int lengthBits = block.lengthBits + 31 - Integer.numberOfLeadingZeros(count);
      if (lengthBits > 31) {
        throw Jpeg2000Codestream.damaged("a length of more bits than there can be");
      }
      int length = bits.read(lengthBits);
      code[1] += count;
      code[3] += length;
      if (code[3] < 0) {
        throw Jpeg2000Codestream.damaged("a block of more bytes than there can be");
      }
      block.passes += count;
      passes -= count;
      blocks.add(block);
      lengths.add(new int[] {code[0], code[1], code[2], code[3], length});
    }
  }

  /** T.800, table B.4. */
  private static int passes(Jpeg2000Bits bits) {
    if (bits.bit() == 0) {
      return 1;
    }
    if (bits.bit() == 0) {
      return 2;
    }
    int more = bits.read(2);
    if (more < 3) {
      return 3 + more;
    }
    more = bits.read(5);
    return more < 31 ? 6 + more : 37 + bits.read(7);
  }
}
