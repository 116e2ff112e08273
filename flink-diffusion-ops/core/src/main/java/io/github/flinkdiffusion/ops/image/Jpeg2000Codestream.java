/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import io.github.flinkdiffusion.ops.image.Jpeg2000Samples.Area;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * What the headers of a JPEG 2000 codestream say (T.800, annex A): its size, how each tile is coded
 * and quantized, and where the bytes of its packets are.
 */
final class Jpeg2000Codestream {
  private static final int MOST_COMPONENTS = 4;

  /** How a component is coded. */
  static final class Coding {
    int levels;
    int blockWidth;
    int blockHeight;
    int style;
    boolean reversible;
    final int[] precincts = new int[33];
  }

  /** How a component is quantized: an exponent and a mantissa for each band. */
  record Quantization(int style, int guard, int[] exponents, int[] mantissas) {}

  /** What a main or a tile's header says. */
  static final class Header {
    int progression;
    int layers;
    boolean colorTransform;
    boolean packetMarks;
    boolean headerMarks;
    Coding[] coding;
    boolean[] codingOwn;
    Quantization[] quantization;
    boolean[] quantizationOwn;

    Header(int components) {
      coding = new Coding[components];
      codingOwn = new boolean[components];
      quantization = new Quantization[components];
      quantizationOwn = new boolean[components];
    }

    /** For a tile, in which what is said of all components wins over what the main header says. */
    Header copy() {
      Header copy = new Header(coding.length);
      copy.progression = progression;
      copy.layers = layers;
      copy.colorTransform = colorTransform;
      copy.packetMarks = packetMarks;
      copy.headerMarks = headerMarks;
      copy.coding = coding.clone();
      copy.quantization = quantization.clone();
      return copy;
    }
  }

  /** Bytes of the file. */
  private record Span(int from, int to) {}

  /** A tile's header, and where its packets are. */
  static final class Tile {
    Header header;
    final List<Span> spans = new ArrayList<>();
  }

  private final byte[] file;
  private final int mostWidth;
  private final int mostHeight;
  private int at;
  int x0;
  int y0;
  int x1;
  int y1;
  private int tileX0;
  private int tileY0;
  private int tileWidth;
  private int tileHeight;
  private int tilesAcross;
  int components;
  int precision;
  boolean signed;
  private Header main;
  final List<Tile> tiles = new ArrayList<>();

  /**
   * @param mostWidth and {@code mostHeight}: a file that says more is refused
   */
  Jpeg2000Codestream(byte[] file, int mostWidth, int mostHeight) {
    this.file = file;
    this.mostWidth = mostWidth;
    this.mostHeight = mostHeight;
    at = codestream();
    if (word(at) != 0xFF4F) {
      throw damaged("it does not begin as such");
    }
    at += 2;
    headers();
  }

  static ImageException damaged(String what) {
    return new ImageException("Corrupt JPEG 2000 data: " + what);
  }

  static ImageException unsupported(String what) {
    return new ImageException("JPEG 2000 data with " + what + ", which is not supported");
  }

  private int word(int place) {
    if (place < 0 || place + 2 > file.length) {
      throw damaged("it ends too early");
    }
    return (file[place] & 0xFF) << 8 | file[place + 1] & 0xFF;
  }

  private int number(int place) {
    return word(place) << 16 | word(place + 2);
  }

  private int unsigned(int place) {
    int number = number(place);
    if (number < 0) {
      throw damaged("a size of " + Integer.toUnsignedString(number));
    }
    return number;
  }

  private int octet(int place) {
    if (place >= file.length) {
      throw damaged("it ends too early");
    }
    return file[place] & 0xFF;
  }

  /** Where the codestream begins; some files have boxes around it, as JP2 files do. */
  private int codestream() {
    if (file.length < 12 || number(0) != 12 || number(4) != 0x6A502020) {
      return 0;
    }
    int place = 0;
    while (place + 8 <= file.length) {
      int length = number(place);
      if (number(place + 4) == 0x6A703263) {
        return place + 8;
      }
      if (length < 8 || length > file.length - place) {
        break;
      }
      place += length;
    }
    throw damaged("its boxes hold no codestream");
  }

  private void headers() {
    while (true) {
      int marker = word(at);
      if (marker == 0xFFD9) {
        return;
      }
      if (marker == 0xFF90) {
        tilePart();
        if (at >= file.length || at + 2 > file.length) {
          // Some programs leave out the end mark.
          return;
        }
        continue;
      }
      int length = word(at + 2);
      int end = at + 2 + length;
      if (length < 2 || end > file.length) {
        throw damaged("a segment %X of %d bytes".formatted(marker, length));
      }
      if (marker == 0xFF51) {
        size(at + 4, end);
        long count = (long) tilesAcross * ceil(y1 - tileY0, tileHeight);
        for (int i = 0; i < count; i++) {
          tiles.add(null);
        }
      } else {
        if (main == null) {
          throw damaged("segment %X comes before the size".formatted(marker));
        }
        segment(marker, at + 4, end, main);
      }
      at = end;
    }
  }

  private void size(int place, int end) {
    if (main != null || end - place < 36) {
      throw damaged("its size is said twice or not");
    }
    x1 = unsigned(place + 2);
    y1 = unsigned(place + 6);
    x0 = unsigned(place + 10);
    y0 = unsigned(place + 14);
    tileWidth = unsigned(place + 18);
    tileHeight = unsigned(place + 22);
    tileX0 = unsigned(place + 26);
    tileY0 = unsigned(place + 30);
    components = word(place + 34);
    if (x1 <= x0 || y1 <= y0 || x1 - x0 > mostWidth || y1 - y0 > mostHeight) {
      throw new ImageException(
          "Corrupt DICOM file: JPEG 2000 data from (%d, %d) to (%d, %d) in a frame of %d x %d"
              .formatted(x0, y0, x1, y1, mostWidth, mostHeight));
    }
    if (components < 1 || components > MOST_COMPONENTS || end - place < 36 + 3 * components) {
      throw unsupported(components + " components");
    }
    if (tileWidth < 1
        || tileHeight < 1
        || tileX0 > x0
        || tileY0 > y0
        || (long) tileX0 + tileWidth <= x0
        || (long) tileY0 + tileHeight <= y0
        || x1 > 1 << 28
        || y1 > 1 << 28) {
      throw damaged(
          "tiles of %d x %d from (%d, %d)".formatted(tileWidth, tileHeight, tileX0, tileY0));
    }
    tilesAcross = ceil(x1 - tileX0, tileWidth);
    if ((long) tilesAcross * ceil(y1 - tileY0, tileHeight) > 65535) {
      throw damaged("more than 65535 tiles");
    }
    for (int c = 0; c < components; c++) {
      int depth = octet(place + 36 + 3 * c);
      if (c > 0 && depth != octet(place + 36)
          || octet(place + 37 + 3 * c) != 1
          || octet(place + 38 + 3 * c) != 1) {
        throw unsupported("components that differ in size or depth");
      }
      signed = (depth & 0x80) != 0;
      precision = (depth & 0x7F) + 1;
    }
    if (precision > 24) {
      throw unsupported(precision + " bits");
    }
    main = new Header(components);
  }

  int width() {
    return x1 - x0;
  }

  int height() {
    return y1 - y0;
  }

  private static int ceil(int length, int part) {
    return (int) (((long) length + part - 1) / part);
  }

  private void segment(int marker, int place, int end, Header header) {
    switch (marker) {
      case 0xFF52 -> {
        if (end - place < 10) {
          throw damaged("a coding style that is too short");
        }
        int flags = octet(place);
        header.packetMarks = (flags & 2) != 0;
        header.headerMarks = (flags & 4) != 0;
        header.progression = octet(place + 1);
        header.layers = word(place + 2);
        header.colorTransform = octet(place + 4) != 0;
        if (header.progression > 4 || header.layers < 1) {
          throw damaged(
              "progression %d and %d layers".formatted(header.progression, header.layers));
        }
        Coding coding = coding(place + 5, end, (flags & 1) != 0);
        for (int c = 0; c < components; c++) {
          if (!header.codingOwn[c]) {
            header.coding[c] = coding;
          }
        }
      }
      case 0xFF53 -> {
        int c = component(place, end);
        header.coding[c] = coding(place + 2, end, (octet(place + 1) & 1) != 0);
        header.codingOwn[c] = true;
      }
      case 0xFF5C -> {
        Quantization quantization = quantization(place, end);
        for (int c = 0; c < components; c++) {
          if (!header.quantizationOwn[c]) {
            header.quantization[c] = quantization;
          }
        }
      }
      case 0xFF5D -> {
        int c = component(place, end);
        header.quantization[c] = quantization(place + 1, end);
        header.quantizationOwn[c] = true;
      }
      case 0xFF5E -> throw unsupported("a region of interest");
      case 0xFF5F -> throw unsupported("changes of the progression");
      case 0xFF60, 0xFF61 -> throw unsupported("packed packet headers");
      case 0xFF50 -> throw unsupported("extensions such as high throughput (HTJ2K)");
      default -> {}
    }
  }

  private int component(int place, int end) {
    int c = octet(place);
    if (c >= components || end - place < 2) {
      throw damaged("a segment for component " + c);
    }
    return c;
  }

  private Coding coding(int place, int end, boolean ownPrecincts) {
    if (end - place < 5) {
      throw damaged("a coding style that is too short");
    }
    Coding coding = new Coding();
    coding.levels = octet(place);
    coding.blockWidth = (octet(place + 1) & 15) + 2;
    coding.blockHeight = (octet(place + 2) & 15) + 2;
    coding.style = octet(place + 3);
    int transform = octet(place + 4);
    coding.reversible = transform == 1;
    if (coding.levels > 32
        || coding.blockWidth > 10
        || coding.blockHeight > 10
        || coding.blockWidth + coding.blockHeight > 12
        || transform > 1) {
      throw damaged(
          "%d levels, blocks of 2^%d x 2^%d, transform %d"
              .formatted(coding.levels, coding.blockWidth, coding.blockHeight, transform));
    }
    if ((coding.style & 0xC0) != 0) {
      throw unsupported(
          "code blocks of style %X, such as high throughput (HTJ2K)".formatted(coding.style));
    }
    Arrays.fill(coding.precincts, 0xFF);
    for (int r = 0; ownPrecincts && r <= coding.levels; r++) {
      if (place + 5 + r >= end) {
        throw damaged("sizes of precincts are missing");
      }
      coding.precincts[r] = octet(place + 5 + r);
      if (r > 0 && ((coding.precincts[r] & 15) == 0 || coding.precincts[r] >> 4 == 0)) {
        throw damaged("precincts of size %X".formatted(coding.precincts[r]));
      }
    }
    return coding;
  }

  private Quantization quantization(int place, int end) {
    if (place >= end) {
      throw damaged("a quantization that is too short");
    }
    int style = octet(place) & 31;
    int guard = octet(place) >> 5;
    int size = style == 0 ? 1 : 2;
    int count = (end - place - 1) / size;
    if (style > 2 || count < 1) {
      throw damaged("a quantization of style %d with %d steps".formatted(style, count));
    }
    int[] exponents = new int[count];
    int[] mantissas = new int[count];
    for (int i = 0; i < count; i++) {
      int value = size == 1 ? octet(place + 1 + i) << 8 : word(place + 1 + 2 * i);
      exponents[i] = value >> 11;
      mantissas[i] = value & 0x7FF;
    }
    return new Quantization(style, guard, exponents, mantissas);
  }

  private void tilePart() {
    int start = at;
    int index = word(at + 4);
    int length = number(at + 6);
    if (main == null || word(at + 2) != 10 || index >= tiles.size()) {
      throw damaged("a part of tile %d of %d".formatted(index, tiles.size()));
    }
    Tile tile = tiles.get(index);
    if (tile == null) {
      tile = new Tile();
      tile.header = main.copy();
      tiles.set(index, tile);
    }
    long end = length == 0 ? file.length : start + (length & 0xFFFFFFFFL);
    if (end > file.length || end < start + 14) {
      throw new ImageException(
          "Truncated JPEG 2000 data: a part of tile %d ends at %d of %d bytes"
              .formatted(index, end, file.length));
    }
    at += 12;
    while (word(at) != 0xFF93) {
      int marker = word(at);
      int size = word(at + 2);
      if (size < 2 || at + 2 + size > end) {
        throw damaged("a segment %X of %d bytes".formatted(marker, size));
      }
      segment(marker, at + 4, at + 2 + size, tile.header);
      at += 2 + size;
    }
    int to = (int) end;
    if (length == 0 && to - at >= 4 && word(to - 2) == 0xFFD9) {
      to -= 2;
    }
    tile.spans.add(new Span(at + 2, to));
    if (tile.spans.size() > 255) {
      throw damaged("a tile of more than 255 parts");
    }
    at = (int) end;
  }

  /** The part of the image that a tile covers. */
  Area area(int index) {
    int p = index % tilesAcross;
    int q = index / tilesAcross;
    return new Area(
        (int) Math.max(tileX0 + (long) p * tileWidth, x0),
        (int) Math.max(tileY0 + (long) q * tileHeight, y0),
        (int) Math.min(tileX0 + (p + 1L) * tileWidth, x1),
        (int) Math.min(tileY0 + (q + 1L) * tileHeight, y1));
  }

  /** The bytes of a tile's packets, which stand in several parts of the file. */
  byte[] packets(Tile tile) {
    int length = tile.spans.stream().mapToInt(span -> span.to() - span.from()).sum();
    byte[] data = new byte[length];
    int filled = 0;
    for (Span span : tile.spans) {
      System.arraycopy(file, span.from(), data, filled, span.to() - span.from());
      filled += span.to() - span.from();
    }
    return data;
  }
}
