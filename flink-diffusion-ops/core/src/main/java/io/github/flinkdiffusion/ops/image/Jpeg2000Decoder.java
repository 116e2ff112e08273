/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import io.github.flinkdiffusion.ops.image.Jpeg2000Block.Orientation;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/**
 * JPEG 2000 codestreams (ITU-T T.800), reversible and irreversible, in tiles, layers and all
 * progressions. Components have the same size. Regions of interest, changes of the progression and
 * headers that are packed together are refused, as is the high-throughput variant.
 */
final class Jpeg2000Decoder {
  private static final int MOST_COMPONENTS = 4;

  /** Of a tile, far more than programs make; a hostile file may say that each pixel has one. */
  private static final int MOST_PRECINCTS = 1 << 16;

  /** Planes whose numbers fit an int, doubled. */
  private static final int MOST_PLANES = 29;

  /**
   * A decoded image.
   *
   * @param planes all of a component before the next
   */
  record Image(
      int width, int height, int components, int precision, boolean signed, int[] planes) {}

  /** How a component is coded. */
  private static final class Coding {
    int levels;
    int blockWidth;
    int blockHeight;
    int style;
    boolean reversible;
    final int[] precincts = new int[33];
  }

  /** How a component is quantized: an exponent and a mantissa for each band. */
  private record Quantization(int style, int guard, int[] exponents, int[] mantissas) {}

  /** What a main or a tile's header says. */
  private static final class Header {
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

  private record Span(int from, int to) {}

  private static final class Tile {
    Header header;
    final List<Span> spans = new ArrayList<>();
  }

  private static final class CodeBlock {
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

  private static final class Band {
    Orientation orientation;
    int x0;
    int y0;
    int x1;
    int y1;
    int planes;
    float step;
  }

  private static final class PrecinctBand {
    Band band;
    int across;
    int down;
    CodeBlock[] blocks;
    Jpeg2000TagTree inclusion;
    Jpeg2000TagTree empty;
  }

  private record Precinct(
      int component, int resolution, int index, long x, long y, List<PrecinctBand> bands) {}

  private final byte[] file;
  private final int mostWidth;
  private final int mostHeight;
  private int at;
  private int x0;
  private int y0;
  private int x1;
  private int y1;
  private int tileX0;
  private int tileY0;
  private int tileWidth;
  private int tileHeight;
  private int tilesAcross;
  private int components;
  private int precision;
  private boolean signed;
  private int[] planes;
  private Header main;
  private final Jpeg2000Block block = new Jpeg2000Block();

  private Jpeg2000Decoder(byte[] file, int mostWidth, int mostHeight) {
    this.file = file;
    this.mostWidth = mostWidth;
    this.mostHeight = mostHeight;
  }

  /**
   * @param mostWidth and {@code mostHeight}: a file that says more is refused
   */
  static Image decode(byte[] file, int mostWidth, int mostHeight) {
    return new Jpeg2000Decoder(file, mostWidth, mostHeight).image();
  }

  private static ImageException damaged(String what) {
    return new ImageException("Corrupt JPEG 2000 data: " + what);
  }

  private static ImageException unsupported(String what) {
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

  private Image image() {
    at = codestream();
    if (word(at) != 0xFF4F) {
      throw damaged("it does not begin as such");
    }
    at += 2;
    List<Tile> tiles = new ArrayList<>();
    headers(tiles);
    for (int i = 0; i < tiles.size(); i++) {
      if (tiles.get(i) == null) {
        throw damaged("tile %d is missing".formatted(i));
      }
      tile(i, tiles.get(i));
      tiles.set(i, null);
    }
    return new Image(x1 - x0, y1 - y0, components, precision, signed, planes);
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

  private void headers(List<Tile> tiles) {
    while (true) {
      int marker = word(at);
      if (marker == 0xFFD9) {
        return;
      }
      if (marker == 0xFF90) {
        tilePart(tiles);
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
    planes = new int[Math.multiplyExact(components, Math.multiplyExact(x1 - x0, y1 - y0))];
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

  private void tilePart(List<Tile> tiles) {
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

  private void tile(int index, Tile tile) {
    int p = index % tilesAcross;
    int q = index / tilesAcross;
    int tx0 = (int) Math.max(tileX0 + (long) p * tileWidth, x0);
    int ty0 = (int) Math.max(tileY0 + (long) q * tileHeight, y0);
    int tx1 = (int) Math.min(tileX0 + (p + 1L) * tileWidth, x1);
    int ty1 = (int) Math.min(tileY0 + (q + 1L) * tileHeight, y1);
    Header header = tile.header;
    List<Precinct> precincts = new ArrayList<>();
    for (int c = 0; c < components; c++) {
      if (header.coding[c] == null || header.quantization[c] == null) {
        throw damaged("no coding style or no quantization");
      }
      precincts(c, header, tx0, ty0, tx1, ty1, precincts);
    }
    packets(tile, precincts);
    boolean transformed = header.colorTransform && components >= 3;
    boolean reversible = header.coding[0].reversible;
    for (int c = 1; transformed && c < 3; c++) {
      if (header.coding[c].reversible != reversible) {
        throw damaged("a color transform over two kinds of wavelets");
      }
    }
    int width = tx1 - tx0;
    int height = ty1 - ty0;
    int[][] whole = new int[components][];
    float[][] real = new float[components][];
    for (int c = 0; c < components; c++) {
      int component = c;
      List<Precinct> own = precincts.stream().filter(one -> one.component() == component).toList();
      Coding coding = header.coding[c];
      Jpeg2000Samples samples =
          Jpeg2000Samples.compose(
              coding.reversible ? Jpeg2000Samples.Wholes.NONE : Jpeg2000Samples.Reals.NONE,
              coding.levels,
              new Jpeg2000Samples.Area(tx0, ty0, tx1, ty1),
              (resolution, area, into) -> place(own, resolution, coding.style, area, into));
      if (samples instanceof Jpeg2000Samples.Wholes wholes) {
        whole[c] = wholes.values();
      } else if (samples instanceof Jpeg2000Samples.Reals reals) {
        real[c] = reals.values();
      }
    }
    if (transformed) {
      colors(whole, real, reversible, width * height);
    }
    int shift = signed ? 0 : 1 << precision - 1;
    int least = signed ? -(1 << precision - 1) : 0;
    int most = signed ? (1 << precision - 1) - 1 : (1 << precision) - 1;
    int across = x1 - x0;
    for (int c = 0; c < components; c++) {
      for (int y = 0; y < height; y++) {
        int to = (c * (y1 - y0) + ty0 - y0 + y) * across + tx0 - x0;
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

  /** Divided by a power of 2, rounded up. */
  static int up(int value, int bits) {
    return bits > 30 ? value > 0 ? 1 : 0 : (int) ((long) value + (1L << bits) - 1 >> bits);
  }

  private void precincts(
      int c, Header header, int tx0, int ty0, int tx1, int ty1, List<Precinct> into) {
    Coding coding = header.coding[c];
    Quantization quantization = header.quantization[c];
    for (int r = 0; r <= coding.levels; r++) {
      int n = coding.levels - r;
      int rx0 = up(tx0, n);
      int ry0 = up(ty0, n);
      int rx1 = up(tx1, n);
      int ry1 = up(ty1, n);
      List<Band> bands = new ArrayList<>();
      for (Orientation orientation : Orientation.values()) {
        if (r == 0 == (orientation == Orientation.LL)) {
          bands.add(band(orientation, r, coding, quantization, tx0, ty0, tx1, ty1));
        }
      }
      if (rx1 <= rx0 || ry1 <= ry0) {
        continue;
      }
      int ppx = coding.precincts[r] & 15;
      int ppy = coding.precincts[r] >> 4;
      int left = rx0 >> ppx;
      int top = ry0 >> ppy;
      int across = up(rx1, ppx) - left;
      int down = up(ry1, ppy) - top;
      if ((long) across * down + into.size() > MOST_PRECINCTS) {
        throw damaged("more than %d precincts in a tile".formatted(MOST_PRECINCTS));
      }
      for (int k = 0; k < across * down; k++) {
        int px = left + k % across;
        int py = top + k / across;
        List<PrecinctBand> parts = new ArrayList<>();
        for (Band band : bands) {
          int halved = r > 0 ? 1 : 0;
          parts.add(part(band, coding, px, py, ppx - halved, ppy - halved));
        }
        into.add(
            new Precinct(
                c,
                r,
                k,
                Math.max(tx0, (long) px << ppx + n),
                Math.max(ty0, (long) py << ppy + n),
                parts));
      }
    }
  }

  private Band band(
      Orientation orientation,
      int r,
      Coding coding,
      Quantization quantization,
      int tx0,
      int ty0,
      int tx1,
      int ty1) {
    int level = r == 0 ? coding.levels : coding.levels - r + 1;
    int highX = orientation == Orientation.HL || orientation == Orientation.HH ? 1 : 0;
    int highY = orientation == Orientation.LH || orientation == Orientation.HH ? 1 : 0;
    Band band = new Band();
    band.orientation = orientation;
    band.x0 = side(tx0, level, highX);
    band.y0 = side(ty0, level, highY);
    band.x1 = side(tx1, level, highX);
    band.y1 = side(ty1, level, highY);
    int index = r == 0 ? 0 : 3 * (r - 1) + orientation.ordinal();
    boolean derived = quantization.style() == 1;
    if (!derived && index >= quantization.exponents().length) {
      throw damaged("the quantization of a band is missing");
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
  private PrecinctBand part(Band band, Coding coding, int px, int py, int ppx, int ppy) {
    PrecinctBand part = new PrecinctBand();
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
    part.across = empty ? 0 : up(right, bits) - firstX;
    part.down = empty ? 0 : up(bottom, rows) - firstY;
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

  private void packets(Tile tile, List<Precinct> precincts) {
    byte[] data = joined(tile);
    Header header = tile.header;
    Comparator<Precinct> byIndex = Comparator.comparingInt(Precinct::index);
    Comparator<Precinct> byPlace =
        Comparator.comparingLong(Precinct::y).thenComparingLong(Precinct::x);
    Comparator<Precinct> order =
        switch (header.progression) {
          case 0, 1 ->
              Comparator.comparingInt(Precinct::resolution)
                  .thenComparingInt(Precinct::component)
                  .thenComparing(byIndex);
          case 2 ->
              Comparator.comparingInt(Precinct::resolution)
                  .thenComparing(byPlace)
                  .thenComparingInt(Precinct::component)
                  .thenComparing(byIndex);
          case 3 ->
              byPlace
                  .thenComparingInt(Precinct::component)
                  .thenComparingInt(Precinct::resolution)
                  .thenComparing(byIndex);
          default ->
              Comparator.comparingInt(Precinct::component)
                  .thenComparing(byPlace)
                  .thenComparingInt(Precinct::resolution)
                  .thenComparing(byIndex);
        };
    List<Precinct> ordered = precincts.stream().sorted(order).toList();
    int place = 0;
    if (header.progression == 0) {
      for (int layer = 0; layer < header.layers; layer++) {
        for (Precinct precinct : ordered) {
          place = packet(data, place, precinct, layer, header);
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
          for (Precinct precinct : ordered.subList(from, to)) {
            place = packet(data, place, precinct, layer, header);
          }
        }
        from = to;
      }
      return;
    }
    for (Precinct precinct : ordered) {
      for (int layer = 0; layer < header.layers; layer++) {
        place = packet(data, place, precinct, layer, header);
      }
    }
  }

  private byte[] joined(Tile tile) {
    int length = tile.spans.stream().mapToInt(span -> span.to() - span.from()).sum();
    byte[] data = new byte[length];
    int filled = 0;
    for (Span span : tile.spans) {
      System.arraycopy(file, span.from(), data, filled, span.to() - span.from());
      filled += span.to() - span.from();
    }
    return data;
  }

  /** Reads a packet, which adds a layer to the blocks of a precinct; gives the place behind it. */
  private int packet(byte[] data, int from, Precinct precinct, int layer, Header header) {
    int place = from;
    if (isMark(data, place, 0x91)) {
      place += 6;
    }
    Jpeg2000Bits bits = new Jpeg2000Bits(data, place, data.length);
    List<CodeBlock> blocks = new ArrayList<>();
    List<int[]> lengths = new ArrayList<>();
    if (bits.bit() == 1) {
      for (PrecinctBand part : precinct.bands()) {
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
                throw damaged("a block of fewer than no planes");
              }
            }
            block.planes = part.band.planes - empty;
            if (block.planes > MOST_PLANES) {
              throw unsupported(block.planes + " planes of bits");
            }
          }
          codes(bits, block, header.coding[precinct.component()].style, blocks, lengths);
        }
      }
    }
    place = bits.end();
    if (isMark(data, place, 0x92)) {
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

  private static boolean isMark(byte[] data, int place, int mark) {
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
        throw damaged("a length of more bits than there can be");
      }
    }
    if (block.passes + passes > Math.max(0, 3 * block.planes - 2)) {
      throw damaged("%d passes of %d planes".formatted(block.passes + passes, block.planes));
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
        throw damaged("a length of more bits than there can be");
      }
      int length = bits.read(lengthBits);
      code[1] += count;
      code[3] += length;
      if (code[3] < 0) {
        throw damaged("a block of more bytes than there can be");
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
      List<Precinct> precincts,
      int r,
      int style,
      Jpeg2000Samples.Area area,
      Jpeg2000Samples samples) {
    for (Precinct precinct : precincts) {
      if (precinct.resolution() != r) {
        continue;
      }
      for (PrecinctBand part : precinct.bands()) {
        Band band = part.band;
        int step = r == 0 ? 1 : 2;
        int highX =
            band.orientation == Orientation.HL || band.orientation == Orientation.HH ? 1 : 0;
        int highY =
            band.orientation == Orientation.LH || band.orientation == Orientation.HH ? 1 : 0;
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
