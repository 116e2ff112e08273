package io.github.flinkdiffusion.ops.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Reads parts of a TIFF, GeoTIFF or BigTIFF file of any size. Memory holds the part, the strips or
 * tiles that it touches, and some more of them up to 16 MiB, so that parts that overlap do not
 * unpack them again.
 *
 * <p>Whole numbers of 1 to 32 bits and floats of 32 and 64, any number of bands, by pixel or by
 * plane, uncompressed or packed with LZW, Deflate or PackBits, with or without predictor. Palettes
 * and CMYK become RGB ({@code (1 - C)(1 - K)}; color profiles are carried but not applied), numbers
 * for which small is bright get a descending range, opacity that is multiplied in is divided out.
 *
 * <p>Not thread-safe.
 */
public final class TiffReader implements AutoCloseable {
  private static final int CACHE_BYTES = 16 << 20;
  private static final int MAX_BLOCKS = 1 << 22;

  /** What an uncompressed strip is cut into if it is the whole picture. */
  private static final int PIECE_BYTES = 1 << 20;

  private static final long MAX_CARRIED_BYTES = 16 << 20;

  /** Tags that describe the layout of pixels or point to other directories. */
  private static final Set<Integer> NOT_CARRIED =
      Set.of(
          254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 280, 281, 282,
          283, 284, 288, 289, 290, 291, 292, 293, 296, 301, 317, 320, 321, 322, 323, 324, 325, 330,
          332, 334, 336, 338, 339, 340, 341, 342, 347, 512, 513, 514, 515, 517, 518, 519, 520, 521,
          529, 530, 531, 532, 33550, 33922, 34264, 34735, 34736, 34737, 34665, 34853, 40965, 42112);

  private final SeekableByteChannel channel;
  private final ReadOptions options;
  private final Layout layout;
  private final PixelFormat format;
  private final ImageMetadata metadata;

  /** Unpacked blocks, the one used longest ago first. */
  private final Map<Integer, byte[]> cache = new LinkedHashMap<>(16, 0.75f, true);

  private long cachedBytes;

  private TiffReader(SeekableByteChannel channel, ReadOptions options) throws IOException {
    this.channel = channel;
    this.options = options;
    TiffDirectory directory = TiffDirectory.read(channel, options.page());
    this.layout = new Layout(directory, channel.size(), options.limits());
    this.format = layout.format();
    this.metadata = metadata(directory);
  }

  /**
   * Opens a file. The limits hold for each part that is read, not for the file.
   *
   * @throws ImageException if it can not be read, is damaged, or of a kind that is not supported
   */
  public static TiffReader open(Path file, ReadOptions options) {
    SeekableByteChannel channel;
    try {
      channel = Files.newByteChannel(file);
    } catch (IOException e) {
      throw new ImageException("Can not open the TIFF file " + file + ": " + e, e);
    }
    try {
      return open(channel, options);
    } catch (RuntimeException e) {
      try {
        channel.close();
      } catch (IOException closing) {
        e.addSuppressed(closing);
      }
      throw e;
    }
  }

  /** Opens a file from wherever it can be read at any place; closed with the reader. */
  public static TiffReader open(SeekableByteChannel channel, ReadOptions options) {
    try {
      return new TiffReader(channel, options);
    } catch (IOException e) {
      throw new ImageException("Can not read a TIFF file: " + e, e);
    }
  }

  static Raster decode(byte[] file, ReadOptions options) {
    try (TiffReader reader = open(new ByteArrayChannel(file), options)) {
      // Before a window is made of them, so that the message is about the picture.
      options.limits().check(reader.width(), reader.height(), reader.channels());
      return reader.read(new Window(0, 0, reader.width(), reader.height()));
    }
  }

  public int width() {
    return layout.width;
  }

  public int height() {
    return layout.height;
  }

  /** Of what is read, which is three for a palette. */
  public int channels() {
    return layout.channels;
  }

  /**
   * Heap that it takes at most, besides the windows that it returns: unpacked blocks that are kept,
   * or, where they are larger than what is kept, the last one, the next one, and that as it is in
   * the file. A file of some hundred kilobytes may be a single block of all its pixels.
   */
  public long heapBytes() {
    long blocks = (long) layout.across * layout.down * layout.planes;
    long atOnce = Math.min(2, blocks) + (layout.compression == Tiff.UNCOMPRESSED ? 0 : 1);
    return Math.max(CACHE_BYTES, atOnce * layout.rowBytes * layout.blockHeight);
  }

  public PixelFormat format() {
    return format;
  }

  public ImageMetadata metadata() {
    return metadata;
  }

  /**
   * Reads a part.
   *
   * @return with the metadata of the part
   * @throws ImageException if it reaches out of the picture, is larger than the limits, or the file
   *     is damaged there
   */
  public Raster read(Window window) {
    window.requireInside(layout.width, layout.height);
    options.limits().check(window.width(), window.height(), Math.max(channels(), layout.samples));
    int pixels = window.width() * window.height();
    float[] data = new float[Math.multiplyExact(layout.samples, pixels)];
    try {
      int firstColumn = window.x() / layout.blockWidth;
      int lastColumn = (window.right() - 1) / layout.blockWidth;
      int firstRow = window.y() / layout.blockHeight;
      int lastRow = (window.bottom() - 1) / layout.blockHeight;
      for (int row = firstRow; row <= lastRow; row++) {
        for (int column = firstColumn; column <= lastColumn; column++) {
          for (int plane = 0; plane < layout.planes; plane++) {
            copy(plane, column, row, window, data);
          }
        }
      }
    } catch (IOException e) {
      throw new ImageException("Can not read a TIFF file: " + e, e);
    }
    return new Raster(
        channels(),
        window.height(),
        window.width(),
        layout.toPicture(data, pixels),
        format,
        metadata.cropped(window.x(), window.y()));
  }

  /** Copies what a block and a window have in common. */
  private void copy(int plane, int column, int row, Window window, float[] data)
      throws IOException {
    byte[] block = block(plane, column, row);
    ByteBuffer values = ByteBuffer.wrap(block).order(layout.valueOrder());
    int left = column * layout.blockWidth;
    int top = row * layout.blockHeight;
    int fromX = Math.max(left, window.x());
    int toX = (int) Math.min((long) left + layout.blockWidth, window.right());
    int toY = (int) Math.min((long) top + layout.blockHeight, window.bottom());
    for (int y = Math.max(top, window.y()); y < toY; y++) {
      int rowAt = (y - top) * layout.rowBytes;
      for (int s = 0; s < layout.samplesPerPlane; s++) {
        int band = plane * layout.samplesPerPlane + s;
        int at = (band * window.height() + y - window.y()) * window.width() - window.x();
        for (int x = fromX; x < toX; x++) {
          int index = (x - left) * layout.samplesPerPlane + s;
          data[at + x] = layout.unit(values, block, rowAt, index, options);
        }
      }
    }
  }

  private byte[] block(int plane, int column, int row) throws IOException {
    int index = (plane * layout.down + row) * layout.across + column;
    byte[] block = cache.get(index);
    if (block == null) {
      block = layout.read(channel, plane, column, row);
      cache.put(index, block);
      cachedBytes += block.length;
      var eldest = cache.entrySet().iterator();
      while (cachedBytes > CACHE_BYTES && cache.size() > 1) {
        cachedBytes -= eldest.next().getValue().length;
        eldest.remove();
      }
    }
    return block;
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      throw new ImageException("Can not close a TIFF file: " + e, e);
    }
  }

  // ---------------------------------------------------------------- metadata

  private static ImageMetadata metadata(TiffDirectory directory) throws IOException {
    List<TiffTag> tags = new ArrayList<>();
    long bytes = 0;
    for (int number : directory.numbers()) {
      if (!NOT_CARRIED.contains(number)) {
        bytes += directory.bytesOf(number);
        if (bytes > MAX_CARRIED_BYTES) {
          throw new ImageException(
              "The TIFF file's descriptive tags have more than %d bytes, which are accepted"
                  .formatted(MAX_CARRIED_BYTES));
        }
        tags.add(directory.tag(number));
      }
    }
    return new ImageMetadata(
        Georeference.of(
            directory.numbers(Tiff.GEO_PIXEL_SCALE),
            directory.numbers(Tiff.GEO_TIEPOINTS),
            directory.numbers(Tiff.GEO_TRANSFORMATION),
            Georeference.integers(directory.numbers(Tiff.GEO_KEYS)),
            directory.numbers(Tiff.GEO_DOUBLES),
            directory.text(Tiff.GEO_ASCII)),
        spacing(directory),
        TiffTexts.parse(directory.text(Tiff.GDAL_METADATA)),
        tags);
  }

  private static Optional<PixelSpacing> spacing(TiffDirectory directory) throws IOException {
    double unit =
        switch (directory.integer(Tiff.RESOLUTION_UNIT, Tiff.INCH)) {
          case Tiff.INCH -> 25.4;
          case Tiff.CENTIMETRE -> 10;
          default -> Double.NaN;
        };
    List<Double> x = directory.numbers(Tiff.X_RESOLUTION);
    List<Double> y = directory.numbers(Tiff.Y_RESOLUTION);
    if (x.isEmpty() || y.isEmpty()) {
      return Optional.empty();
    }
    double spacingX = unit / x.get(0);
    double spacingY = unit / y.get(0);
    boolean known =
        spacingX > 0 && spacingY > 0 && Double.isFinite(spacingX) && Double.isFinite(spacingY);
    return known ? Optional.of(new PixelSpacing(spacingX, spacingY)) : Optional.empty();
  }

  // ---------------------------------------------------------------- pixels

  /** Where pixels are and what their numbers mean, each claim of the header checked. */
  private static final class Layout {
    private final long fileBytes;
    final int width;
    final int height;
    final int samples;
    final int channels;
    final int blockWidth;
    final int blockHeight;
    final int across;
    final int down;
    final int planes;
    final int samplesPerPlane;
    final int rowBytes;

    private final ByteOrder order;
    private final int bits;
    private final int sampleFormat;
    private final int photometric;
    private final int compression;
    private final int predictor;
    private final int[] extraSamples;
    private final long[] offsets;
    private final long[] lengths;

    /** Of a strip as it stands in the file, of which blocks are parts if it is uncompressed. */
    private final int stripHeight;

    private final boolean tiled;
    private final float[] palette;
    private final ValueRange range;

    Layout(TiffDirectory directory, long fileBytes, ImageLimits limits) throws IOException {
      this.fileBytes = fileBytes;
      order = directory.order();
      width = directory.integer(Tiff.WIDTH, 0);
      height = directory.integer(Tiff.HEIGHT, 0);
      samples = directory.integer(Tiff.SAMPLES, 1);
      if (width < 1 || height < 1 || samples < 1 || samples > 0xFFFF) {
        throw new ImageException(
            "Damaged TIFF file: it says that it is %d x %d pixels in %d bands"
                .formatted(width, height, samples));
      }
      if (samples > limits.maxBands()) {
        throw new ImageException(
            "The picture has %d bands; at most %d are accepted"
                .formatted(samples, limits.maxBands()));
      }
      bits = same(directory, Tiff.BITS, 1, samples);
      sampleFormat = same(directory, Tiff.SAMPLE_FORMAT, Tiff.UNSIGNED, samples);
      photometric = directory.integer(Tiff.PHOTOMETRIC, Tiff.BLACK_IS_ZERO);
      compression = directory.integer(Tiff.COMPRESSION, Tiff.UNCOMPRESSED);
      predictor = directory.integer(Tiff.PREDICTOR, 1);
      extraSamples =
          directory.numbers(Tiff.EXTRA_SAMPLES).stream().mapToInt(Double::intValue).toArray();
      requireSupported(directory.integer(Tiff.FILL_ORDER, 1));
      int planar = directory.integer(Tiff.PLANAR, 1);
      planes = planar == 2 ? samples : 1;
      samplesPerPlane = planar == 2 ? 1 : samples;
      palette = photometric == Tiff.PALETTE ? palette(directory) : null;
      channels = photometric == Tiff.PALETTE ? 3 : photometric == Tiff.CMYK ? 3 : samples;
      range = range();

      tiled = directory.has(Tiff.TILE_WIDTH);
      blockWidth = tiled ? directory.integer(Tiff.TILE_WIDTH, 0) : width;
      int declared =
          directory.integer(tiled ? Tiff.TILE_HEIGHT : Tiff.ROWS_PER_STRIP, tiled ? 0 : height);
      if (blockWidth < 1 || declared < 1) {
        throw new ImageException(
            "Damaged TIFF file: blocks of %d x %d pixels".formatted(blockWidth, declared));
      }
      stripHeight = tiled ? declared : Math.min(declared, height);
      double rowSize = Math.ceil((double) blockWidth * samplesPerPlane * bits / 8);
      // Any row of an uncompressed strip is found without reading what is before it.
      boolean cut = !tiled && compression == Tiff.UNCOMPRESSED && stripHeight == height;
      blockHeight =
          cut ? (int) Math.max(1, Math.min(stripHeight, PIECE_BYTES / rowSize)) : stripHeight;
      if (rowSize * blockHeight > Math.min(limits.maxBytes(), Integer.MAX_VALUE - 8)) {
        throw new ImageException(
            ("The TIFF file's blocks of %d x %d pixels in %d bands of %d bits take more than %d"
                    + " bytes, which are accepted")
                .formatted(blockWidth, blockHeight, samplesPerPlane, bits, limits.maxBytes()));
      }
      rowBytes = (int) rowSize;
      across = tiled ? ceil(width, blockWidth) : 1;
      down = ceil(height, blockHeight);
      long inFile = (long) across * ceil(height, stripHeight) * planes;
      if (inFile > MAX_BLOCKS || (long) across * down * planes > Integer.MAX_VALUE) {
        throw new ImageException(
            "The TIFF file says that it has %d strips or tiles; at most %d are accepted"
                .formatted(inFile, MAX_BLOCKS));
      }
      int offsetsTag = tiled ? Tiff.TILE_OFFSETS : Tiff.STRIP_OFFSETS;
      int lengthsTag = tiled ? Tiff.TILE_BYTES : Tiff.STRIP_BYTES;
      if (directory.count(offsetsTag) < inFile || directory.count(lengthsTag) < inFile) {
        throw new ImageException(
            "Damaged TIFF file: places of %d and lengths of %d blocks; %d are needed"
                .formatted(directory.count(offsetsTag), directory.count(lengthsTag), inFile));
      }
      offsets = directory.longs(offsetsTag);
      lengths = directory.longs(lengthsTag);
    }

    private static int ceil(int length, int part) {
      return (int) (((long) length + part - 1) / part);
    }

    /** A tag that has a value for each sample, which must be the same for all. */
    private static int same(TiffDirectory directory, int tag, int otherwise, int samples)
        throws IOException {
      if (directory.count(tag) > 0xFFFF) {
        throw new ImageException(
            "Damaged TIFF file: tag %d has %d values for %d bands"
                .formatted(tag, directory.count(tag), samples));
      }
      List<Double> values = directory.numbers(tag);
      if (values.stream().distinct().count() > 1) {
        throw new ImageException(
            "The TIFF file's bands differ in tag %d: %s; the same is supported"
                .formatted(tag, values));
      }
      return values.isEmpty() ? otherwise : values.get(0).intValue();
    }

    private void requireSupported(int fillOrder) {
      boolean type =
          switch (sampleFormat) {
            case Tiff.UNSIGNED, 4 ->
                bits == 1 || bits == 2 || bits == 4 || bits == 8 || bits == 16 || bits == 32;
            case Tiff.SIGNED -> bits == 8 || bits == 16 || bits == 32;
            case Tiff.FLOATING -> bits == 32 || bits == 64;
            default -> false;
          };
      if (!type || bits < 8 && samples > 1 || fillOrder != 1) {
        throw new ImageException(
            ("A TIFF file with %d bands of %d bits, sample format %d, fill order %d; whole numbers"
                    + " of 1, 2, 4 (one band), 8, 16 and 32 bits and floats of 32 and 64 are"
                    + " supported, in fill order 1")
                .formatted(samples, bits, sampleFormat, fillOrder));
      }
      if (!TiffBlocks.supports(compression)) {
        throw new ImageException(
            ("A TIFF file with compression %d; 1 (none), 5 (LZW), 8 and 32946 (Deflate) and 32773"
                    + " (PackBits) are supported")
                .formatted(compression));
      }
      boolean predicted =
          predictor == 1
              || predictor == 2 && bits >= 8
              || predictor == 3 && sampleFormat == Tiff.FLOATING;
      if (!predicted) {
        throw new ImageException(
            "A TIFF file with predictor %d for %d bits; 1, 2 and, for floats, 3 are supported"
                .formatted(predictor, bits));
      }
      boolean whole = sampleFormat == Tiff.UNSIGNED && bits <= 16;
      boolean color =
          switch (photometric) {
            case Tiff.WHITE_IS_ZERO, Tiff.BLACK_IS_ZERO -> true;
            case Tiff.RGB -> samples >= 3;
            case Tiff.PALETTE -> whole && samples == 1;
            case Tiff.CMYK -> whole && bits >= 8 && samples == 4;
            default -> false;
          };
      if (!color) {
        throw new ImageException(
            ("A TIFF file of color kind %d with %d bands of %d bits; gray (0, 1), RGB (2), palette"
                    + " (3) and CMYK (5) are supported")
                .formatted(photometric, samples, bits));
      }
    }

    private float[] palette(TiffDirectory directory) throws IOException {
      int colors = 1 << bits;
      if (directory.count(Tiff.COLOR_MAP) != 3L * colors) {
        throw new ImageException(
            "Damaged TIFF file: a palette of %d numbers; %d are needed"
                .formatted(directory.count(Tiff.COLOR_MAP), 3 * colors));
      }
      List<Double> numbers = directory.numbers(Tiff.COLOR_MAP);
      float[] palette = new float[3 * colors];
      for (int i = 0; i < palette.length; i++) {
        palette[i] = (float) (numbers.get(i) / 65535);
      }
      return palette;
    }

    private ValueRange range() {
      SampleType type = type();
      // Fewer than 8 bits are stretched over 8, as in PNG files.
      boolean stretched = bits < 8;
      ValueRange full = stretched ? ValueRange.ofBits(bits) : type.fullRange();
      return photometric == Tiff.WHITE_IS_ZERO ? new ValueRange(full.high(), full.low()) : full;
    }

    private SampleType type() {
      if (sampleFormat == Tiff.FLOATING || bits == 32) {
        return SampleType.FLOAT32;
      }
      if (sampleFormat == Tiff.SIGNED) {
        return SampleType.INT16;
      }
      return bits == 16 ? SampleType.UINT16 : SampleType.UINT8;
    }

    PixelFormat format() {
      boolean rgb = photometric != Tiff.WHITE_IS_ZERO && photometric != Tiff.BLACK_IS_ZERO;
      int colors = rgb ? 3 : 1;
      boolean alpha =
          channels == colors + 1
              && extraSamples.length > 0
              && (extraSamples[0] == Tiff.ASSOCIATED_ALPHA
                  || extraSamples[0] == Tiff.UNASSOCIATED_ALPHA);
      Bands bands = channels == colors || alpha ? Bands.ofPicture(channels) : Bands.MEASUREMENTS;
      if (photometric == Tiff.PALETTE) {
        return PixelFormat.of(Bands.RGB, SampleType.UINT8);
      }
      PixelFormat full = PixelFormat.of(bands, type());
      ValueRange shown = photometric == Tiff.WHITE_IS_ZERO ? flipped(full.range()) : full.range();
      return full.withRange(shown);
    }

    private static ValueRange flipped(ValueRange range) {
      return new ValueRange(range.high(), range.low());
    }

    /** Floats are big-endian after the third predictor, whatever the file's order. */
    ByteOrder valueOrder() {
      return predictor == 3 ? ByteOrder.BIG_ENDIAN : order;
    }

    byte[] read(SeekableByteChannel channel, int plane, int column, int row) throws IOException {
      int top = row * blockHeight;
      int rows = tiled ? blockHeight : Math.min(blockHeight, height - top);
      int strip = top / stripHeight;
      int index = (plane * ceil(height, stripHeight) + strip) * across + column;
      int size = rows * rowBytes;
      long skipped =
          compression == Tiff.UNCOMPRESSED ? (top - strip * stripHeight) * (long) rowBytes : 0;
      long length = lengths[index] - skipped;
      // Packing may make a block larger, but not by much.
      long most = compression == Tiff.UNCOMPRESSED ? size : 2L * size + 4096;
      if (length < 1) {
        throw new ImageException(
            "Damaged TIFF file: a block of %d bytes".formatted(lengths[index]));
      }
      byte[] packed =
          TiffDirectory.bytes(
              channel, fileBytes, offsets[index] + skipped, (int) Math.min(length, most));
      byte[] block = TiffBlocks.unpacked(compression, packed, size);
      if (bits >= 8) {
        TiffBlocks.unpredict(predictor, block, rowBytes, samplesPerPlane, bits / 8, order);
      }
      return block;
    }

    /** The value of a sample in the raster's terms. */
    float unit(ByteBuffer values, byte[] block, int rowAt, int index, ReadOptions options) {
      double number =
          switch (sampleFormat) {
            case Tiff.FLOATING ->
                bits == 32
                    ? values.getFloat(rowAt + 4 * index)
                    : values.getDouble(rowAt + 8 * index);
            case Tiff.SIGNED ->
                switch (bits) {
                  case 8 -> block[rowAt + index];
                  case 16 -> values.getShort(rowAt + 2 * index);
                  default -> values.getInt(rowAt + 4 * index);
                };
            default ->
                switch (bits) {
                  case 8 -> block[rowAt + index] & 0xFF;
                  case 16 -> values.getShort(rowAt + 2 * index) & 0xFFFF;
                  case 32 -> Integer.toUnsignedLong(values.getInt(rowAt + 4 * index));
                  default ->
                      block[rowAt + index * bits / 8] >>> (8 - bits - index * bits % 8)
                          & (1 << bits) - 1;
                };
          };
      if (palette != null) {
        return (float) number;
      }
      return (float) range.unit(options.finite(number, "TIFF"));
    }

    /** Colors from palette entries and inks; opacity divided out. */
    float[] toPicture(float[] data, int pixels) {
      if (palette != null) {
        float[] colors = new float[3 * pixels];
        int entries = palette.length / 3;
        for (int c = 0; c < 3; c++) {
          for (int i = 0; i < pixels; i++) {
            colors[c * pixels + i] = palette[c * entries + (int) data[i]];
          }
        }
        return colors;
      }
      if (photometric == Tiff.CMYK) {
        float[] colors = new float[3 * pixels];
        for (int i = 0; i < 3 * pixels; i++) {
          colors[i] = (1 - data[i]) * (1 - data[3 * pixels + i % pixels]);
        }
        return colors;
      }
      if (format().bands().hasAlpha() && extraSamples[0] == Tiff.ASSOCIATED_ALPHA) {
        int alphaAt = (channels - 1) * pixels;
        for (int i = 0; i < alphaAt; i++) {
          float alpha = data[alphaAt + i % pixels];
          data[i] = alpha > 0 ? data[i] / alpha : 0;
        }
      }
      return data;
    }
  }
}
