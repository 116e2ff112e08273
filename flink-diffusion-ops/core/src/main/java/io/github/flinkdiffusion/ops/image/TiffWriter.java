package io.github.flinkdiffusion.ops.image;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SeekableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.zip.Deflater;

/**
 * Writes a TIFF or GeoTIFF file row by row from the top; memory holds one row of tiles, whatever
 * the height of the picture. Tiles are compressed (deflate, with the predictor that suits the
 * type). A file that may become larger than 4 GiB is a BigTIFF file.
 *
 * <pre>{@code
 * try (TiffWriter writer = TiffWriter.create(path, 8192, 8192, 1, format, metadata)) {
 *   for (...) writer.append(rows);
 * }
 * }</pre>
 */
public final class TiffWriter implements AutoCloseable {
  /** The side of a tile, in pixels; a multiple of 16, as the standard demands. */
  public static final int TILE = 256;

  /** From here on offsets of 32 bits could be too short. */
  private static final long CLASSIC_BYTES = 3L << 30;

  private final SeekableByteChannel channel;
  private final int width;
  private final int height;
  private final int channels;
  private final PixelFormat format;
  private final ImageMetadata metadata;
  private final int across;
  private final boolean big;
  private final long[] offsets;
  private final long[] lengths;
  private final Deflater deflater = new Deflater(Deflater.BEST_SPEED);

  private long end;

  /** Rows that wait for a row of tiles to be full, channel by channel; null before the first. */
  private float[] waiting;

  /** Where the rows that wait hold no data, in the same order. */
  private final BitSet waitingMissing = new BitSet();

  private int waitingRows;

  /** Where the mask's tiles are; null as long as all pixels hold data, or a number says so. */
  private long[] maskOffsets;

  private long[] maskLengths;
  private int appendedRows;

  private TiffWriter(
      SeekableByteChannel channel,
      int width,
      int height,
      int channels,
      PixelFormat format,
      ImageMetadata metadata)
      throws IOException {
    if (width < 1 || height < 1 || channels < 1 || channels > 0xFFFF) {
      throw new ImageException(
          "A TIFF file of %d x %d pixels in %d bands; each must be at least 1, and bands at most %d"
              .formatted(width, height, channels, 0xFFFF));
    }
    if (!format.bands().fits(channels)) {
      throw new ImageException("%d channels can not be %s".formatted(channels, format.bands()));
    }
    this.channel = channel;
    this.width = width;
    this.height = height;
    this.channels = channels;
    this.format = format;
    this.metadata = metadata;
    this.across = (width + TILE - 1) / TILE;
    long tiles = (long) across * ((height + TILE - 1) / TILE);
    if (tiles > 1 << 26) {
      throw new ImageException(
          "A TIFF file of %d x %d pixels has %d tiles; at most %d are written"
              .formatted(width, height, tiles, 1 << 26));
    }
    this.big = tiles * TILE * TILE * channels * (format.type().bits() / 8) > CLASSIC_BYTES;
    this.offsets = new long[(int) tiles];
    this.lengths = new long[(int) tiles];
    this.end = 16;
  }

  /** Creates a file, replacing one that is there. */
  public static TiffWriter create(
      Path file, int width, int height, int channels, PixelFormat format, ImageMetadata metadata) {
    try {
      SeekableByteChannel channel =
          Files.newByteChannel(
              file,
              StandardOpenOption.CREATE,
              StandardOpenOption.TRUNCATE_EXISTING,
              StandardOpenOption.WRITE);
      return new TiffWriter(channel, width, height, channels, format, metadata);
    } catch (IOException e) {
      throw new ImageException("Can not write the TIFF file " + file + ": " + e, e);
    }
  }

  /** A whole picture as a file in memory. */
  static byte[] encode(Raster picture) {
    ByteArrayChannel channel = new ByteArrayChannel(new byte[0]);
    try (TiffWriter writer =
        new TiffWriter(
            channel,
            picture.width(),
            picture.height(),
            picture.channels(),
            picture.format(),
            picture.metadata())) {
      writer.append(picture);
    } catch (IOException e) {
      throw new ImageException("Can not write " + picture + " as TIFF: " + e, e);
    }
    return channel.toByteArray();
  }

  /**
   * Writes the next rows from the top.
   *
   * @param rows of the picture's width, any number of them
   * @throws ImageException if they are of another size, too many, or hold a value that is not
   *     finite
   */
  public void append(Raster rows) {
    if (rows.channels() != channels
        || rows.width() != width
        || rows.height() > height - appendedRows) {
      throw new ImageException(
          "%s as rows %d and on of a TIFF file; %d x up to %d x %d are needed"
              .formatted(rows, appendedRows, channels, height - appendedRows, width));
    }
    if (waiting == null) {
      waiting = new float[Math.multiplyExact(channels * TILE, width)];
    }
    for (int y = 0; y < rows.height(); y++) {
      for (int c = 0; c < channels; c++) {
        System.arraycopy(
            rows.data(),
            (c * rows.height() + y) * width,
            waiting,
            (c * TILE + waitingRows) * width,
            width);
        takeMissing(rows, c, y);
      }
      waitingRows++;
      appendedRows++;
      if (waitingRows == TILE || appendedRows == height) {
        int top = appendedRows - waitingRows;
        for (int x = 0; x < width; x += TILE) {
          write(x, top);
        }
        waitingRows = 0;
        waitingMissing.clear();
      }
    }
  }

  private void takeMissing(Raster rows, int c, int y) {
    if (rows.noData().isEmpty()) {
      return;
    }
    NoDataMask mask = rows.noData().get();
    int from = (c * rows.height() + y) * width;
    int to = (c * TILE + waitingRows) * width;
    for (int x = 0; x < width; x++) {
      if (mask.isMissing(from + x)) {
        waitingMissing.set(to + x);
      }
    }
  }

  /** Writes the tile at (x, y) from the rows that wait. */
  private void write(int x, int y) {
    int index = y / TILE * across + x / TILE;
    int tileWidth = Math.min(TILE, width - x);
    int tileHeight = Math.min(TILE, height - y);
    int bytes = format.type().bits() / 8;
    ByteBuffer samples =
        ByteBuffer.allocate(TILE * TILE * channels * bytes).order(ByteOrder.LITTLE_ENDIAN);
    for (int row = 0; row < tileHeight; row++) {
      for (int column = 0; column < tileWidth; column++) {
        for (int c = 0; c < channels; c++) {
          int at = (c * TILE + row) * width + x + column;
          float value = waiting[at];
          if (waitingMissing.get(at)) {
            put(samples, ((row * TILE + column) * channels + c) * bytes, format.noDataSample());
            continue;
          }
          if (!Float.isFinite(value)) {
            throw new ImageException(
                "The TIFF tile at (%d, %d) holds the value %s; finite numbers are written"
                    .formatted(x, y, value));
          }
          put(samples, ((row * TILE + column) * channels + c) * bytes, format.sample(value));
        }
      }
    }
    predict(samples.array(), bytes);
    try {
      lengths[index] = append(deflated(samples.array()));
      offsets[index] = end - lengths[index] - lengths[index] % 2;
      if (format.noData().isEmpty()) {
        writeMask(index, x, tileWidth, tileHeight);
      }
    } catch (IOException e) {
      throw new ImageException("Can not write a tile of a TIFF file: " + e, e);
    }
  }

  /** A pixel lacks data where all its samples do. Nothing is written of tiles with all data. */
  private void writeMask(int index, int x, int tileWidth, int tileHeight) throws IOException {
    byte[] bits = new byte[TILE * TILE / 8];
    Arrays.fill(bits, (byte) 0xFF);
    boolean any = false;
    for (int row = 0; row < tileHeight; row++) {
      int at = row * width + x;
      for (int i = waitingMissing.nextSetBit(at);
          i >= 0 && i < at + tileWidth;
          i = waitingMissing.nextSetBit(i + 1)) {
        boolean all = true;
        for (int c = 1; c < channels && all; c++) {
          all = waitingMissing.get(c * TILE * width + i);
        }
        if (all) {
          int bit = row * TILE + i - at;
          bits[bit / 8] &= (byte) ~(0x80 >> bit % 8);
          any = true;
        }
      }
    }
    if (!any) {
      return;
    }
    if (maskOffsets == null) {
      maskOffsets = new long[offsets.length];
      maskLengths = new long[offsets.length];
    }
    maskLengths[index] = append(deflated(bits));
    maskOffsets[index] = end - maskLengths[index] - maskLengths[index] % 2;
  }

  /** Writes a block at the end, which stays even, and tells its length. */
  private int append(byte[] packed) throws IOException {
    writeAt(end, packed);
    end += packed.length + packed.length % 2;
    return packed.length;
  }

  private void put(ByteBuffer samples, int at, double sample) {
    switch (format.type()) {
      case UINT8 -> samples.put(at, (byte) (int) sample);
      case UINT16, INT16 -> samples.putShort(at, (short) (int) sample);
      case FLOAT32 -> samples.putFloat(at, (float) sample);
    }
  }

  /** Whole numbers as differences along rows, floats as differences of their bytes' planes. */
  private void predict(byte[] samples, int bytes) {
    int rowBytes = TILE * channels * bytes;
    byte[] row = new byte[rowBytes];
    for (int start = 0; start < samples.length; start += rowBytes) {
      if (bytes == 4) {
        int values = TILE * channels;
        for (int i = 0; i < values; i++) {
          for (int b = 0; b < 4; b++) {
            // Most significant bytes first.
            row[b * values + i] = samples[start + i * 4 + 3 - b];
          }
        }
        for (int i = rowBytes - 1; i >= channels; i--) {
          row[i] -= row[i - channels];
        }
        System.arraycopy(row, 0, samples, start, rowBytes);
      } else if (bytes == 1) {
        for (int i = start + rowBytes - 1; i >= start + channels; i--) {
          samples[i] -= samples[i - channels];
        }
      } else {
        ByteBuffer words = ByteBuffer.wrap(samples).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = start + rowBytes - 2; i >= start + 2 * channels; i -= 2) {
          words.putShort(i, (short) (words.getShort(i) - words.getShort(i - 2 * channels)));
        }
      }
    }
  }

  private byte[] deflated(byte[] samples) {
    deflater.reset();
    deflater.setInput(samples);
    deflater.finish();
    ByteArrayOutputStream packed = new ByteArrayOutputStream(samples.length / 2);
    byte[] part = new byte[16384];
    while (!deflater.finished()) {
      packed.write(part, 0, deflater.deflate(part));
    }
    return packed.toByteArray();
  }

  private void writeAt(long at, byte[] bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.wrap(bytes);
    channel.position(at);
    while (buffer.hasRemaining()) {
      channel.write(buffer);
    }
  }

  /**
   * Completes the file.
   *
   * @throws ImageException if rows are missing; the file is then none
   */
  @Override
  public void close() {
    try (channel) {
      if (appendedRows < height) {
        throw new ImageException(
            "A TIFF file of %d x %d pixels is closed with %d of %d rows written"
                .formatted(width, height, appendedRows, height));
      }
      writeDirectory();
    } catch (IOException e) {
      throw new ImageException("Can not complete a TIFF file: " + e, e);
    } finally {
      deflater.end();
    }
  }

  // ---------------------------------------------------------------- tags

  private void writeDirectory() throws IOException {
    Map<Integer, TiffTag> tags = new TreeMap<>();
    metadata.tags().forEach(tag -> tags.put(tag.number(), tag));
    layoutTags(tags);
    metadata.georeference().ifPresent(where -> geoTags(tags, where));
    metadata.spacing().ifPresent(spacing -> spacingTags(tags, spacing));
    if (!metadata.texts().isEmpty()) {
      text(tags, Tiff.GDAL_METADATA, TiffTexts.format(metadata.texts()));
    }
    format.noData().ifPresent(number -> text(tags, Tiff.GDAL_NODATA, numberText(number)));
    long first = end + end % 2;
    if (maskOffsets == null) {
      writeDirectory(first, tags, false);
    } else {
      fillMask();
      first = end + end % 2;
      long second = writeDirectory(first, tags, true);
      writeDirectory(second, maskTags(), false);
    }
    ByteBuffer header = ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN);
    header.put((byte) 'I').put((byte) 'I');
    if (big) {
      header.putShort((short) TiffDirectory.BIG).putShort((short) 8).putShort((short) 0);
      header.putLong(first);
    } else {
      header.putShort((short) TiffDirectory.CLASSIC).putInt((int) first);
    }
    writeAt(0, header.array());
  }

  /** As GDAL writes it: whole numbers without a point. */
  private static String numberText(double number) {
    if (!Double.isFinite(number)) {
      return Double.isNaN(number) ? "nan" : number > 0 ? "inf" : "-inf";
    }
    return number == Math.rint(number) && Math.abs(number) < 1e15
        ? Long.toString((long) number)
        : Double.toString(number);
  }

  /** Tiles of pixels that all hold data are one and the same. */
  private void fillMask() throws IOException {
    byte[] bits = new byte[TILE * TILE / 8];
    Arrays.fill(bits, (byte) 0xFF);
    int length = append(deflated(bits));
    long at = end - length - length % 2;
    for (int i = 0; i < maskOffsets.length; i++) {
      if (maskOffsets[i] == 0) {
        maskOffsets[i] = at;
        maskLengths[i] = length;
      }
    }
  }

  private Map<Integer, TiffTag> maskTags() {
    Map<Integer, TiffTag> tags = new TreeMap<>();
    numbers(tags, Tiff.SUBFILE_TYPE, TiffType.LONG, Tiff.MASK);
    numbers(tags, Tiff.WIDTH, TiffType.LONG, width);
    numbers(tags, Tiff.HEIGHT, TiffType.LONG, height);
    shorts(tags, Tiff.BITS, 1);
    shorts(tags, Tiff.COMPRESSION, Tiff.DEFLATE);
    shorts(tags, Tiff.PHOTOMETRIC, Tiff.TRANSPARENCY_MASK);
    shorts(tags, Tiff.SAMPLES, 1);
    shorts(tags, Tiff.PLANAR, 1);
    shorts(tags, Tiff.TILE_WIDTH, TILE);
    shorts(tags, Tiff.TILE_HEIGHT, TILE);
    TiffType offset = big ? TiffType.LONG8 : TiffType.LONG;
    numbers(tags, Tiff.TILE_OFFSETS, offset, maskOffsets);
    numbers(tags, Tiff.TILE_BYTES, offset, maskLengths);
    return tags;
  }

  /**
   * @param more whether another one follows
   * @return where the next one is
   */
  private long writeDirectory(long directory, Map<Integer, TiffTag> tags, boolean more)
      throws IOException {
    int inline = big ? 8 : 4;
    int entry = big ? 20 : 12;
    long valuesAt = directory + (big ? 16 : 6) + (long) tags.size() * entry;
    ByteArrayOutputStream values = new ByteArrayOutputStream();
    ByteBuffer table =
        ByteBuffer.allocate((int) (valuesAt - directory)).order(ByteOrder.LITTLE_ENDIAN);
    if (big) {
      table.putLong(tags.size());
    } else {
      table.putShort((short) tags.size());
    }
    for (TiffTag tag : tags.values()) {
      byte[] value = tag.values(ByteOrder.LITTLE_ENDIAN);
      table.putShort((short) tag.number()).putShort((short) tag.type().code());
      putOffset(table, tag.count());
      if (value.length <= inline) {
        table.put(Arrays.copyOf(value, inline));
      } else {
        putOffset(table, valuesAt + values.size());
        values.writeBytes(value);
        values.writeBytes(new byte[value.length % 2]);
      }
    }
    long next = valuesAt + values.size();
    putOffset(table, more ? next : 0);
    writeAt(directory, table.array());
    writeAt(valuesAt, values.toByteArray());
    return next;
  }

  private void putOffset(ByteBuffer table, long value) {
    if (big) {
      table.putLong(value);
    } else {
      table.putInt((int) value);
    }
  }

  private void layoutTags(Map<Integer, TiffTag> tags) {
    Bands bands = format.bands();
    boolean rgb = bands == Bands.RGB || bands == Bands.RGB_ALPHA;
    int photometric =
        rgb ? Tiff.RGB : format.range().descending() ? Tiff.WHITE_IS_ZERO : Tiff.BLACK_IS_ZERO;
    int[] bits = new int[channels];
    Arrays.fill(bits, format.type().bits());
    int[] sampleFormats = new int[channels];
    Arrays.fill(
        sampleFormats,
        switch (format.type()) {
          case UINT8, UINT16 -> Tiff.UNSIGNED;
          case INT16 -> Tiff.SIGNED;
          case FLOAT32 -> Tiff.FLOATING;
        });
    numbers(tags, Tiff.WIDTH, TiffType.LONG, width);
    numbers(tags, Tiff.HEIGHT, TiffType.LONG, height);
    shorts(tags, Tiff.BITS, bits);
    shorts(tags, Tiff.COMPRESSION, Tiff.DEFLATE);
    shorts(tags, Tiff.PHOTOMETRIC, photometric);
    shorts(tags, Tiff.SAMPLES, channels);
    shorts(tags, Tiff.PLANAR, 1);
    shorts(tags, Tiff.PREDICTOR, format.type() == SampleType.FLOAT32 ? 3 : 2);
    shorts(tags, Tiff.TILE_WIDTH, TILE);
    shorts(tags, Tiff.TILE_HEIGHT, TILE);
    shorts(tags, Tiff.SAMPLE_FORMAT, sampleFormats);
    int extra = channels - (rgb ? 3 : 1);
    if (extra > 0) {
      int[] kinds = new int[extra];
      kinds[0] = bands.hasAlpha() ? Tiff.UNASSOCIATED_ALPHA : 0;
      shorts(tags, Tiff.EXTRA_SAMPLES, kinds);
    }
    TiffType offset = big ? TiffType.LONG8 : TiffType.LONG;
    numbers(tags, Tiff.TILE_OFFSETS, offset, offsets);
    numbers(tags, Tiff.TILE_BYTES, offset, lengths);
  }

  private static void geoTags(Map<Integer, TiffTag> tags, Georeference where) {
    doubles(tags, Tiff.GEO_PIXEL_SCALE, where.pixelScale());
    doubles(tags, Tiff.GEO_TIEPOINTS, where.tiepoints());
    doubles(tags, Tiff.GEO_TRANSFORMATION, where.transformation());
    if (!where.keyDirectory().isEmpty()) {
      shorts(
          tags, Tiff.GEO_KEYS, where.keyDirectory().stream().mapToInt(Integer::intValue).toArray());
    }
    doubles(tags, Tiff.GEO_DOUBLES, where.doubleParameters());
    if (!where.asciiParameters().isEmpty()) {
      text(tags, Tiff.GEO_ASCII, where.asciiParameters());
    }
  }

  /** Pixels a centimetre, as a fraction of the largest numbers that hold it. */
  private static void spacingTags(Map<Integer, TiffTag> tags, PixelSpacing spacing) {
    for (int tag : new int[] {Tiff.X_RESOLUTION, Tiff.Y_RESOLUTION}) {
      double resolution = 10 / (tag == Tiff.X_RESOLUTION ? spacing.x() : spacing.y());
      // The larger of both terms fills 31 bits, and the fraction errs by less than 1e-6.
      long numerator = resolution >= 1 ? 1L << 31 : Math.round(resolution * (1L << 31));
      long denominator = resolution >= 1 ? Math.round((1L << 31) / resolution) : 1L << 31;
      numbers(tags, tag, TiffType.LONG, Math.max(1, numerator), Math.max(1, denominator));
      tags.put(
          tag, new TiffTag(tag, TiffType.RATIONAL, tags.get(tag).values(ByteOrder.BIG_ENDIAN)));
    }
    shorts(tags, Tiff.RESOLUTION_UNIT, Tiff.CENTIMETRE);
  }

  private static void shorts(Map<Integer, TiffTag> tags, int number, int... values) {
    ByteBuffer bytes = ByteBuffer.allocate(2 * values.length);
    for (int value : values) {
      bytes.putShort((short) value);
    }
    tags.put(number, new TiffTag(number, TiffType.SHORT, bytes.array()));
  }

  private static void numbers(
      Map<Integer, TiffTag> tags, int number, TiffType type, long... values) {
    ByteBuffer bytes = ByteBuffer.allocate(type.bytes() * values.length);
    for (long value : values) {
      if (type == TiffType.LONG8) {
        bytes.putLong(value);
      } else {
        bytes.putInt((int) value);
      }
    }
    tags.put(number, new TiffTag(number, type, bytes.array()));
  }

  private static void doubles(Map<Integer, TiffTag> tags, int number, List<Double> values) {
    if (!values.isEmpty()) {
      ByteBuffer bytes = ByteBuffer.allocate(8 * values.size());
      values.forEach(bytes::putDouble);
      tags.put(number, new TiffTag(number, TiffType.DOUBLE, bytes.array()));
    }
  }

  private static void text(Map<Integer, TiffTag> tags, int number, String text) {
    byte[] bytes = (text + '\0').getBytes(StandardCharsets.UTF_8);
    tags.put(number, new TiffTag(number, TiffType.ASCII, bytes));
  }
}
