/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * Reads parts of a TIFF, GeoTIFF or BigTIFF file of any size. Memory holds the part, the strips or
 * tiles that it touches, and some more of them up to 16 MiB, so that parts that overlap do not
 * unpack them again.
 *
 * <p>Whole numbers of 1 to 32 and of 64 bits and floats of 16 to 64, any number of bands, by pixel
 * or by plane, uncompressed or packed with LZW, Deflate, PackBits, LZMA, Zstandard, JPEG, WebP or
 * as fax, with or without predictor. Palettes and CMYK become RGB ({@code (1 - C)(1 - K)}; color
 * profiles are carried but not applied), numbers for which small is bright get a descending range,
 * opacity that is multiplied in is divided out. An image that says how it stands upright is turned,
 * unless it has a place on Earth.
 *
 * <p>Not thread-safe.
 */
@Internal
public final class TiffReader implements AutoCloseable {
  private static final int CACHE_BYTES = 16 << 20;

  private final SeekableByteChannel channel;
  private final ReadOptions options;
  private final TiffLayout layout;
  private final PixelFormat format;
  private final ImageMetadata metadata;

  /** As EXIF says it: 1 is upright, and from 5 on rows are columns. */
  private final int orientation;

  private final Blocks blocks;

  /** Of the mask that says where there is data; null if the file has none. */
  private final Blocks mask;

  /** Whether the last band, which is opacity, says where there is data. */
  private final boolean alpha;

  private final int fullWidth;
  private final int fullHeight;

  private TiffReader(SeekableByteChannel channel, ReadOptions options, Resolution resolution)
      throws IOException {
    this.channel = channel;
    this.options = options;
    List<TiffDirectory> directories = TiffDirectory.read(channel, options.page());
    TiffDirectory directory = directories.get(0);
    ImageMetadata whole = TiffMetadata.of(directory);
    this.fullWidth = directory.integer(Tiff.WIDTH, 0);
    this.fullHeight = directory.integer(Tiff.HEIGHT, 0);
    TiffDirectory level = level(directories, resolution, whole);
    this.layout =
        new TiffLayout(level, directory.text(Tiff.GDAL_NODATA), channel.size(), options.limits());
    this.blocks = new Blocks(layout);
    this.mask = mask(directories.subList(1, directories.size()));
    this.alpha = mask == null && layout.saysNoDataByAlpha();
    // As GDAL does: where there is a mask, numbers say nothing.
    this.format = mask == null ? layout.format() : layout.format().withoutNoData();
    ImageMetadata found =
        level == directory
            ? whole
            : whole.scaled((double) layout.width / fullWidth, (double) layout.height / fullHeight);
    // What has a place on Earth lies there as it stands in the file, as GDAL has it.
    int said = directory.integer(Tiff.ORIENTATION, 1);
    this.orientation = said >= 1 && said <= 8 && found.georeference().isEmpty() ? said : 1;
    this.metadata = found;
  }

  /**
   * Opens a file. The limits hold for each part that is read, not for the file.
   *
   * @throws ImageException if it cannot be read, is damaged, or of a kind that is not supported
   */
  public static TiffReader open(Path file, ReadOptions options) {
    SeekableByteChannel channel;
    try {
      channel = Files.newByteChannel(file);
    } catch (IOException e) {
      throw new ImageException("Cannot open the TIFF file " + file + ": " + e, e);
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
    return open(channel, options, Resolution.FULL);
  }

  /**
   * As {@link #open(SeekableByteChannel, ReadOptions)}, one of the resolutions that the file holds.
   *
   * @throws ImageException if it has not so many, naming how many it has
   */
  public static TiffReader open(
      SeekableByteChannel channel, ReadOptions options, Resolution resolution) {
    try {
      return new TiffReader(channel, options, resolution);
    } catch (IOException e) {
      throw new ImageException("Cannot read a TIFF file: " + e, e);
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
    return orientation < 5 ? layout.width : layout.height;
  }

  public int height() {
    return orientation < 5 ? layout.height : layout.width;
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
    return Math.max(CACHE_BYTES, layout.blockHeapBytes()) + (mask == null ? 0 : CACHE_BYTES);
  }

  public PixelFormat format() {
    return format;
  }

  /**
   * Whether there may be samples that hold no data: it has a number, a mask, or opacity for them.
   */
  public boolean mayLackData() {
    return mask != null || alpha || layout.saysNoData();
  }

  public ImageMetadata metadata() {
    return orientation < 5 ? metadata : metadata.turned();
  }

  /**
   * Reads a part.
   *
   * @return with the metadata of the part
   * @throws ImageException if it reaches out of the picture, is larger than the limits, or the file
   *     is damaged there
   */
  public Raster read(Window window) {
    window.requireInside(width(), height());
    return stored(inFile(window)).upright(orientation);
  }

  /** Where in the file a window of the upright image is. */
  private Window inFile(Window upright) {
    boolean turned = orientation >= 5;
    int column = turned ? upright.y() : upright.x();
    int row = turned ? upright.x() : upright.y();
    int columns = turned ? upright.height() : upright.width();
    int rows = turned ? upright.width() : upright.height();
    boolean fromRight =
        orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    boolean fromBottom =
        orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    return new Window(
        fromRight ? layout.width - column - columns : column,
        fromBottom ? layout.height - row - rows : row,
        columns,
        rows);
  }

  private Raster stored(Window window) {
    options.limits().check(window.width(), window.height(), Math.max(channels(), layout.samples));
    int pixels = window.width() * window.height();
    float[] data = new float[Math.multiplyExact(layout.samples, pixels)];
    BitSet missing = new BitSet();
    read(window, data, missing);
    data = layout.toPicture(data, pixels);
    Raster part =
        new Raster(
            channels(),
            window.height(),
            window.width(),
            data,
            format,
            metadata.cropped(window.x(), window.y()));
    Optional<NoDataMask> noData = noData(window, missing);
    if (noData.isEmpty()) {
      return part;
    }
    // Opacity stays as it is: where it is 0, there is none to be had from neighbors.
    boolean opacity = format.bands().hasAlpha() && format.noData().isEmpty();
    float[] own = opacity ? Arrays.copyOfRange(data, data.length - pixels, data.length) : null;
    noData.get().fill(data);
    if (opacity) {
      System.arraycopy(own, 0, data, data.length - pixels, pixels);
    }
    return part.masked(noData.get());
  }

  /**
   * Where a part holds no data, as {@link #read} has it, without memory for its values.
   *
   * @return empty where all of it holds data
   */
  public Optional<NoDataMask> noData(Window window) {
    window.requireInside(width(), height());
    if (!mayLackData()) {
      return Optional.empty();
    }
    if (orientation != 1) {
      return read(window).noData();
    }
    BitSet missing = new BitSet();
    if (mask == null) {
      read(window, null, missing);
    }
    return noData(window, missing);
  }

  private Optional<NoDataMask> noData(Window window, BitSet missing) {
    int pixels = window.width() * window.height();
    BitSet bands =
        mask != null
            ? inAllBands(maskedOut(window), pixels)
            : alpha ? inAllBands(missing, pixels) : layout.toPicture(missing, pixels);
    return NoDataMask.of(channels(), window.height(), window.width(), bands);
  }

  /**
   * Of the file's bands, not of those that are read.
   *
   * @param missing gets samples without data, or, where opacity says it, pixels
   */
  private void read(Window window, float[] data, BitSet missing) {
    eachBlock(
        layout, window, (plane, column, row) -> copy(plane, column, row, window, data, missing));
  }

  /** Pixels of a window. */
  private BitSet maskedOut(Window window) {
    BitSet missing = new BitSet();
    TiffLayout bits = mask.layout;
    eachBlock(
        bits,
        window,
        (plane, column, row) -> {
          byte[] block = mask.block(0, column, row);
          eachPixel(
              bits,
              block,
              column,
              row,
              window,
              (values, rowAt, x, at) -> {
                if (block == null || bits.number(values, block, rowAt, x) == 0) {
                  missing.set(at);
                }
              });
        });
    return missing;
  }

  private BitSet inAllBands(BitSet missing, int pixels) {
    BitSet bands = new BitSet();
    for (int i = missing.nextSetBit(0); i >= 0; i = missing.nextSetBit(i + 1)) {
      for (int c = 0; c < channels(); c++) {
        bands.set(c * pixels + i);
      }
    }
    return bands;
  }

  private interface BlockAction {
    void accept(int plane, int column, int row) throws IOException;
  }

  private static void eachBlock(TiffLayout layout, Window window, BlockAction action) {
    int firstColumn = window.x() / layout.blockWidth;
    int lastColumn = (window.right() - 1) / layout.blockWidth;
    int firstRow = window.y() / layout.blockHeight;
    int lastRow = (window.bottom() - 1) / layout.blockHeight;
    try {
      for (int row = firstRow; row <= lastRow; row++) {
        for (int column = firstColumn; column <= lastColumn; column++) {
          for (int plane = 0; plane < layout.planes; plane++) {
            action.accept(plane, column, row);
          }
        }
      }
    } catch (IOException e) {
      throw new ImageException("Cannot read a TIFF file: " + e, e);
    }
  }

  private interface PixelAction {
    /**
     * @param rowAt where its row begins in the block
     * @param x its column in the block
     * @param at its index in the window
     */
    void accept(ByteBuffer values, int rowAt, int x, int at);
  }

  /** What a block and a window have in common. */
  private static void eachPixel(
      TiffLayout layout, byte[] block, int column, int row, Window window, PixelAction action) {
    ByteBuffer values = block == null ? null : ByteBuffer.wrap(block).order(layout.valueOrder());
    int left = column * layout.blockWidth;
    int top = row * layout.blockHeight;
    int fromX = Math.max(left, window.x());
    int toX = (int) Math.min((long) left + layout.blockWidth, window.right());
    int toY = (int) Math.min((long) top + layout.blockHeight, window.bottom());
    for (int y = Math.max(top, window.y()); y < toY; y++) {
      int rowAt = (y - top) * layout.rowBytes;
      int at = (y - window.y()) * window.width() - window.x();
      for (int x = fromX; x < toX; x++) {
        action.accept(values, rowAt, x - left, at + x);
      }
    }
  }

  /**
   * @param data null if only what is missing is asked for
   */
  private void copy(int plane, int column, int row, Window window, float[] data, BitSet missing)
      throws IOException {
    byte[] block = blocks.block(plane, column, row);
    int inPlane = layout.samplesPerPlane;
    int pixels = window.width() * window.height();
    boolean numbers = mask == null && layout.saysNoData();
    eachPixel(
        layout,
        block,
        column,
        row,
        window,
        (values, rowAt, x, at) -> {
          for (int s = 0; s < inPlane; s++) {
            double number =
                block == null
                    ? layout.absent()
                    : layout.number(values, block, rowAt, x * inPlane + s);
            if (alpha && number == 0 && plane * inPlane + s == layout.samples - 1) {
              missing.set(at);
            }
            int index = (plane * inPlane + s) * pixels + at;
            if (numbers && layout.isMissing(number, options)) {
              missing.set(index);
            } else if (data != null) {
              data[index] = layout.unit(number, options);
            }
          }
        });
  }

  /** Unpacked blocks that are used again, the one used longest ago first. */
  private final class Blocks {
    private final TiffLayout layout;
    private final Map<Integer, byte[]> cache = new LinkedHashMap<>(16, 0.75f, true);
    private long cachedBytes;

    Blocks(TiffLayout layout) {
      this.layout = layout;
    }

    /** Null if the file leaves it out. */
    byte[] block(int plane, int column, int row) throws IOException {
      int index = (plane * layout.down + row) * layout.across + column;
      byte[] block = cache.get(index);
      if (block == null) {
        block = layout.read(channel, plane, column, row);
        if (block == null) {
          return null;
        }
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
  }

  /**
   * The image, or the overview that is wanted: those are in any order, the largest is the first.
   */
  private static TiffDirectory level(
      List<TiffDirectory> directories, Resolution resolution, ImageMetadata metadata)
      throws IOException {
    TiffDirectory full = directories.get(0);
    if (resolution.equals(Resolution.FULL)) {
      return full;
    }
    record Level(int width, TiffDirectory directory) {}
    List<Level> levels = new ArrayList<>();
    for (TiffDirectory directory : directories) {
      if (directory == full || directory.subfileType() == Tiff.REDUCED) {
        levels.add(new Level(Math.max(1, directory.integer(Tiff.WIDTH, 0)), directory));
      }
    }
    levels.subList(1, levels.size()).sort(Comparator.comparingInt(Level::width).reversed());
    int width = levels.get(0).width();
    if (resolution.pixelSize().isPresent()) {
      double[] sides =
          metadata
              .georeference()
              .flatMap(Georeference::pixelSides)
              .orElseThrow(
                  () ->
                      new ImageException(
                          "The TIFF file does not say how large its pixels are on Earth; ask for a"
                              + " level instead of a pixel size"));
      double side = Math.max(Math.hypot(sides[0], sides[1]), Math.hypot(sides[2], sides[3]));
      TiffDirectory found = full;
      for (Level level : levels) {
        // Sides are rounded up to whole pixels: half of 1001 is 501.
        double factor = Math.rint((double) width / level.width() * 16) / 16;
        if (side * factor <= resolution.pixelSize().getAsDouble() * (1 + 1e-9)) {
          found = level.directory();
        }
      }
      return found;
    }
    if (resolution.level() >= levels.size()) {
      throw new ImageException(
          "The TIFF file has no level %d; it has %d, counted from 0, which is the image itself"
              .formatted(resolution.level(), levels.size()));
    }
    return levels.get(resolution.level()).directory();
  }

  /** Of the image itself, whatever level is read: as it stands upright. */
  public int fullWidth() {
    return orientation < 5 ? fullWidth : fullHeight;
  }

  /** As {@link #fullWidth}. */
  public int fullHeight() {
    return orientation < 5 ? fullHeight : fullWidth;
  }

  /** The mask of what is read, among what belongs to the page. */
  private Blocks mask(List<TiffDirectory> parts) throws IOException {
    boolean full = layout.width == fullWidth && layout.height == fullHeight;
    boolean fullMask = false;
    for (TiffDirectory part : parts) {
      int type = part.subfileType();
      fullMask |= type == Tiff.MASK;
      boolean reduced =
          type == (Tiff.MASK | Tiff.REDUCED)
              && part.integer(Tiff.WIDTH, 0) == layout.width
              && part.integer(Tiff.HEIGHT, 0) == layout.height;
      if (full ? type == Tiff.MASK : reduced) {
        TiffLayout bits = new TiffLayout(part, channel.size(), options.limits());
        if (bits.width != layout.width || bits.height != layout.height || bits.samples != 1) {
          throw new ImageException(
              "The TIFF file's mask is %d x %d pixels in %d bands; %d x %d in one are needed"
                  .formatted(bits.width, bits.height, bits.samples, layout.width, layout.height));
        }
        return new Blocks(bits);
      }
    }
    if (fullMask && !full) {
      throw new ImageException(
          "The TIFF file has a mask of its no-data pixels, but none for its overview of %d x %d pixels; read level 0"
              .formatted(layout.width, layout.height));
    }
    return null;
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      throw new ImageException("Cannot close a TIFF file: " + e, e);
    }
  }
}
