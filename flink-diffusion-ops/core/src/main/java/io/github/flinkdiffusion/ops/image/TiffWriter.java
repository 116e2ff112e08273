/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
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
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Supplier;
import org.apache.flink.annotation.Internal;

/**
 * Writes a TIFF or GeoTIFF file row by row from the top, as a Cloud Optimized GeoTIFF: tiles,
 * compressed (deflate, with the predictor that suits the type), reduced images for overviews, all
 * directories at the beginning and the smallest image first. A file of more than 3 GiB is a BigTIFF
 * file.
 *
 * <p>Memory holds one row of tiles of each resolution, whatever the height of the image. Where the
 * tiles belong is known in the end alone, so until then they are in files beside it.
 *
 * <pre>{@code
 * try (TiffWriter writer = TiffWriter.create(path, 8192, 8192, 1, format, metadata)) {
 *   for (...) writer.append(rows);
 * }
 * }</pre>
 */
@Internal
public final class TiffWriter implements AutoCloseable {
  /** The side of a tile, in pixels; a multiple of 16, as the standard demands. */
  public static final int TILE = 256;

  /** What a pixel of a reduced image is. */
  public enum Overviews {
    /** The mean of the pixels that it stands for, where they hold data. */
    MEAN,
    /** One of them, as numbers of classes need it. */
    FIRST
  }

  /** From here on offsets of 32 bits could be too short. */
  private static final long CLASSIC_BYTES = 3L << 30;

  private static final int HEADER_BYTES = 8;
  private static final int BIG_HEADER_BYTES = 16;
  private static final int COPY_BYTES = 1 << 18;

  private final SeekableByteChannel channel;
  private final int channels;
  private final PixelFormat format;
  private final ImageMetadata metadata;
  private final TiffLevel image;

  /** Whether offsets have 64 bits; known when all tiles are. */
  private boolean big;

  private TiffWriter(
      SeekableByteChannel channel,
      int width,
      int height,
      int channels,
      PixelFormat format,
      ImageMetadata metadata,
      Overviews overviews,
      Supplier<SeekableByteChannel> spools) {
    if (width < 1 || height < 1 || channels < 1 || channels > 0xFFFF) {
      throw new ImageException(
          "A TIFF file of %d x %d pixels in %d bands; each must be at least 1, and bands at most %d"
              .formatted(width, height, channels, 0xFFFF));
    }
    if (!format.bands().fits(channels)) {
      throw new ImageException("%d channels cannot be %s".formatted(channels, format.bands()));
    }
    this.channel = channel;
    this.channels = channels;
    this.format = format;
    this.metadata = metadata;
    this.image =
        new TiffLevel(width, height, channels, format, overviews == Overviews.MEAN, spools);
  }

  /** Creates a file, replacing one that is there; its overviews are means. */
  public static TiffWriter create(
      Path file, int width, int height, int channels, PixelFormat format, ImageMetadata metadata) {
    return create(file, width, height, channels, format, metadata, Overviews.MEAN);
  }

  /** Creates a file, replacing one that is there. */
  public static TiffWriter create(
      Path file,
      int width,
      int height,
      int channels,
      PixelFormat format,
      ImageMetadata metadata,
      Overviews overviews) {
    try {
      SeekableByteChannel channel =
          Files.newByteChannel(
              file,
              StandardOpenOption.CREATE,
              StandardOpenOption.TRUNCATE_EXISTING,
              StandardOpenOption.WRITE);
      return new TiffWriter(
          channel,
          width,
          height,
          channels,
          format,
          metadata,
          overviews,
          () -> spool(file.toAbsolutePath().getParent()));
    } catch (IOException e) {
      throw new ImageException("Cannot write the TIFF file " + file + ": " + e, e);
    }
  }

  /** A file that is gone when it is closed, or the process is. */
  private static SeekableByteChannel spool(Path folder) {
    try {
      return Files.newByteChannel(
          Files.createTempFile(folder, "level-", ".tiles"),
          StandardOpenOption.READ,
          StandardOpenOption.WRITE,
          StandardOpenOption.DELETE_ON_CLOSE);
    } catch (IOException e) {
      throw new ImageException("Cannot write to the folder " + folder + ": " + e, e);
    }
  }

  /** A whole picture as a file in memory. */
  static byte[] encode(Raster picture) {
    return encode(picture, Overviews.MEAN);
  }

  /** A whole image as a file in memory. */
  public static byte[] encode(Raster image, Overviews overviews) {
    ByteArrayChannel channel = new ByteArrayChannel(new byte[0]);
    try (TiffWriter writer =
        new TiffWriter(
            channel,
            image.width(),
            image.height(),
            image.channels(),
            image.format(),
            image.metadata(),
            overviews,
            () -> new ByteArrayChannel(new byte[0]))) {
      writer.append(image);
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
        || rows.width() != image.width
        || rows.height() > image.height - image.appendedRows()) {
      throw new ImageException(
          "%s as rows %d and on of a TIFF file; %d x up to %d x %d are needed"
              .formatted(
                  rows,
                  image.appendedRows(),
                  channels,
                  image.height - image.appendedRows(),
                  image.width));
    }
    image.append(rows);
  }

  /**
   * Completes the file.
   *
   * @throws ImageException if rows are missing; the file is then none
   */
  @Override
  public void close() {
    try (channel;
        image) {
      if (image.appendedRows() < image.height) {
        throw new ImageException(
            "A TIFF file of %d x %d pixels is closed with %d of %d rows written"
                .formatted(image.width, image.height, image.appendedRows(), image.height));
      }
      assemble();
    } catch (IOException e) {
      throw new ImageException("Cannot complete a TIFF file: " + e, e);
    }
  }

  // ---------------------------------------------------------------- the file

  private void assemble() throws IOException {
    long bytes = 0;
    Deque<TiffLevel> smallestFirst = new ArrayDeque<>();
    for (TiffLevel level = image; level != null; level = level.next) {
      if (level.maskOffsets != null) {
        level.fillMask();
      }
      bytes += level.end;
      smallestFirst.push(level);
    }
    big = bytes > CLASSIC_BYTES;
    long begin = (big ? BIG_HEADER_BYTES : HEADER_BYTES) + directories(Map.of()).length;
    Map<TiffLevel, Long> places = new HashMap<>();
    for (TiffLevel level : smallestFirst) {
      places.put(level, begin);
      begin += level.end;
    }
    writeHeader();
    write(ByteBuffer.wrap(directories(places)));
    for (TiffLevel level : smallestFirst) {
      copy(level);
    }
  }

  private void writeHeader() throws IOException {
    ByteBuffer header =
        ByteBuffer.allocate(big ? BIG_HEADER_BYTES : HEADER_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    header.put((byte) 'I').put((byte) 'I');
    if (big) {
      header.putShort((short) TiffDirectory.BIG).putShort((short) 8).putShort((short) 0);
      header.putLong(BIG_HEADER_BYTES);
    } else {
      header.putShort((short) TiffDirectory.CLASSIC).putInt(HEADER_BYTES);
    }
    write(header.flip());
  }

  private void write(ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }

  private void copy(TiffLevel level) throws IOException {
    SeekableByteChannel spool = level.spool();
    spool.position(0);
    long copied = 0;
    ByteBuffer part = ByteBuffer.allocate(COPY_BYTES);
    while (spool.read(part) >= 0) {
      copied += part.position();
      write(part.flip());
      part.clear();
    }
    // The last tile of a level may end at an odd place, and the next level begins at an even one.
    write(ByteBuffer.allocate((int) (level.end - copied)));
  }

  /**
   * All directories: the image's, its mask's, and those of the reduced images, each before its
   * mask's.
   *
   * @param places where the levels' tiles begin in the file; 0 for those that are not in it
   */
  private byte[] directories(Map<TiffLevel, Long> places) {
    List<Map<Integer, TiffTag>> all = new ArrayList<>();
    for (TiffLevel level = image; level != null; level = level.next) {
      long begin = places.getOrDefault(level, 0L);
      all.add(imageTags(level, begin));
      if (level.maskOffsets != null) {
        all.add(maskTags(level, begin));
      }
    }
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (int i = 0; i < all.size(); i++) {
      long at = (big ? BIG_HEADER_BYTES : HEADER_BYTES) + out.size();
      out.writeBytes(directory(at, all.get(i), i < all.size() - 1));
    }
    return out.toByteArray();
  }

  private Map<Integer, TiffTag> imageTags(TiffLevel level, long begin) {
    Map<Integer, TiffTag> tags = new TreeMap<>();
    if (level == image) {
      metadata.tags().forEach(tag -> tags.put(tag.number(), tag));
      metadata.georeference().ifPresent(where -> geoTags(tags, where));
      metadata.spacing().ifPresent(spacing -> spacingTags(tags, spacing));
      if (!metadata.texts().isEmpty()) {
        text(tags, Tiff.GDAL_METADATA, TiffTexts.format(metadata.texts()));
      }
    } else {
      numbers(tags, Tiff.SUBFILE_TYPE, TiffType.LONG, Tiff.REDUCED);
    }
    layoutTags(tags);
    sizeTags(tags, level, level.offsets, level.lengths, begin);
    format.noData().ifPresent(number -> text(tags, Tiff.GDAL_NODATA, numberText(number)));
    return tags;
  }

  private void sizeTags(
      Map<Integer, TiffTag> tags, TiffLevel level, long[] offsets, long[] lengths, long begin) {
    numbers(tags, Tiff.WIDTH, TiffType.LONG, level.width);
    numbers(tags, Tiff.HEIGHT, TiffType.LONG, level.height);
    shorts(tags, Tiff.TILE_WIDTH, TILE);
    shorts(tags, Tiff.TILE_HEIGHT, TILE);
    TiffType offset = big ? TiffType.LONG8 : TiffType.LONG;
    long[] inFile = new long[offsets.length];
    for (int i = 0; i < inFile.length; i++) {
      inFile[i] = begin + offsets[i];
    }
    numbers(tags, Tiff.TILE_OFFSETS, offset, inFile);
    numbers(tags, Tiff.TILE_BYTES, offset, lengths);
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

  private Map<Integer, TiffTag> maskTags(TiffLevel level, long begin) {
    Map<Integer, TiffTag> tags = new TreeMap<>();
    int kind = level == image ? Tiff.MASK : Tiff.MASK | Tiff.REDUCED;
    numbers(tags, Tiff.SUBFILE_TYPE, TiffType.LONG, kind);
    shorts(tags, Tiff.BITS, 1);
    shorts(tags, Tiff.COMPRESSION, Tiff.DEFLATE);
    shorts(tags, Tiff.PHOTOMETRIC, Tiff.TRANSPARENCY_MASK);
    shorts(tags, Tiff.SAMPLES, 1);
    shorts(tags, Tiff.PLANAR, 1);
    sizeTags(tags, level, level.maskOffsets, level.maskLengths, begin);
    return tags;
  }

  /**
   * @param directory where it will be
   * @param more whether another one follows it at once
   */
  private byte[] directory(long directory, Map<Integer, TiffTag> tags, boolean more) {
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
    putOffset(table, more ? valuesAt + values.size() : 0);
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    all.writeBytes(table.array());
    all.writeBytes(values.toByteArray());
    return all.toByteArray();
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
    shorts(tags, Tiff.BITS, bits);
    shorts(tags, Tiff.COMPRESSION, Tiff.DEFLATE);
    shorts(tags, Tiff.PHOTOMETRIC, photometric);
    shorts(tags, Tiff.SAMPLES, channels);
    shorts(tags, Tiff.PLANAR, 1);
    shorts(tags, Tiff.PREDICTOR, format.type() == SampleType.FLOAT32 ? 3 : 2);
    shorts(tags, Tiff.SAMPLE_FORMAT, sampleFormats);
    int extra = channels - (rgb ? 3 : 1);
    if (extra > 0) {
      int[] kinds = new int[extra];
      kinds[extra - 1] = bands.hasAlpha() ? Tiff.UNASSOCIATED_ALPHA : 0;
      shorts(tags, Tiff.EXTRA_SAMPLES, kinds);
    }
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
