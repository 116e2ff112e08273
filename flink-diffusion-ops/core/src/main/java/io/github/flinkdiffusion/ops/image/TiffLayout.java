/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SeekableByteChannel;
import java.util.BitSet;
import java.util.List;
import java.util.OptionalDouble;

/** Where pixels are and what their numbers mean, each claim of the header checked. */
final class TiffLayout {
  private static final int MAX_BLOCKS = 1 << 22;

  /** What an uncompressed strip is cut into if it is the whole picture. */
  private static final int PIECE_BYTES = 1 << 20;

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
  private final TiffNumbers numbers;
  private final int photometric;
  private final int compression;
  private final int predictor;
  private final int fillOrder;
  private final TiffImageBlocks images;
  private final int[] extraSamples;
  private final long[] offsets;
  private final long[] lengths;

  /** Of a strip as it stands in the file, of which blocks are parts if it is uncompressed. */
  private final int stripHeight;

  private final boolean tiled;
  private final float[] palette;
  private final ValueRange range;

  /** The number in the file for no data; empty if it has none that a sample can be. */
  private final OptionalDouble noData;

  TiffLayout(TiffDirectory directory, long fileBytes, ImageLimits limits) throws IOException {
    this(directory, "", fileBytes, limits);
  }

  /**
   * @param noDataOfPage what the page says of no data, where the directory itself says nothing
   */
  TiffLayout(TiffDirectory directory, String noDataOfPage, long fileBytes, ImageLimits limits)
      throws IOException {
    this.fileBytes = fileBytes;
    order = directory.order();
    width = directory.integer(Tiff.WIDTH, 0);
    height = directory.integer(Tiff.HEIGHT, 0);
    samples = directory.integer(Tiff.SAMPLES, 1);
    if (width < 1 || height < 1 || samples < 1 || samples > 0xFFFF) {
      throw new ImageException(
          "Corrupt TIFF file: it says that it is %d x %d pixels in %d bands"
              .formatted(width, height, samples));
    }
    if (samples > limits.maxBands()) {
      throw new ImageException(
          "The image has %d bands; at most %d are accepted".formatted(samples, limits.maxBands()));
    }
    bits = same(directory, Tiff.BITS, 1, samples);
    sampleFormat = same(directory, Tiff.SAMPLE_FORMAT, Tiff.UNSIGNED, samples);
    numbers = new TiffNumbers(sampleFormat, bits);
    photometric = directory.integer(Tiff.PHOTOMETRIC, Tiff.BLACK_IS_ZERO);
    compression = directory.integer(Tiff.COMPRESSION, Tiff.UNCOMPRESSED);
    predictor = directory.integer(Tiff.PREDICTOR, 1);
    extraSamples =
        directory.numbers(Tiff.EXTRA_SAMPLES).stream().mapToInt(Double::intValue).toArray();
    fillOrder = directory.integer(Tiff.FILL_ORDER, 1);
    requireSupported();
    int planar = directory.integer(Tiff.PLANAR, 1);
    planes = planar == 2 ? samples : 1;
    samplesPerPlane = planar == 2 ? 1 : samples;
    palette = photometric == Tiff.PALETTE ? palette(directory) : null;
    channels = photometric == Tiff.PALETTE ? 3 : photometric == Tiff.CMYK ? 3 : samples;
    range = range();
    images =
        new TiffImageBlocks(
            compression,
            directory.has(Tiff.TILE_WIDTH) ? directory.integer(Tiff.TILE_WIDTH, 0) : width,
            samplesPerPlane,
            photometric,
            directory.bytes(Tiff.JPEG_TABLES),
            directory.integer(compression == Tiff.FAX_3 ? 292 : 293, 0));

    tiled = directory.has(Tiff.TILE_WIDTH);
    blockWidth = tiled ? directory.integer(Tiff.TILE_WIDTH, 0) : width;
    // The number of rows of a strip may be as large as it gets, for all of them.
    int declared =
        tiled
            ? directory.integer(Tiff.TILE_HEIGHT, 0)
            : (int) Math.min(height, directory.whole(Tiff.ROWS_PER_STRIP, height));
    if (blockWidth < 1 || declared < 1) {
      throw new ImageException(
          "Corrupt TIFF file: blocks of %d x %d pixels".formatted(blockWidth, declared));
    }
    stripHeight = declared;
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
    boolean unsaid = directory.count(lengthsTag) == 0 && compression == Tiff.UNCOMPRESSED;
    if (directory.count(offsetsTag) < inFile || directory.count(lengthsTag) < inFile && !unsaid) {
      throw new ImageException(
          "Corrupt TIFF file: places of %d and lengths of %d blocks; %d are needed"
              .formatted(directory.count(offsetsTag), directory.count(lengthsTag), inFile));
    }
    offsets = directory.longs(offsetsTag);
    lengths = directory.longs(lengthsTag);
    noData =
        numbers.noData(
            directory.has(Tiff.GDAL_NODATA) ? directory.text(Tiff.GDAL_NODATA) : noDataOfPage);
  }

  /** The last block, the next one, and that as it is in the file. */
  long blockHeapBytes() {
    long blocks = (long) across * down * planes;
    long atOnce = Math.min(2, blocks) + (compression == Tiff.UNCOMPRESSED ? 0 : 1);
    return atOnce * rowBytes * blockHeight;
  }

  private static int ceil(int length, int part) {
    return (int) (((long) length + part - 1) / part);
  }

  /** A tag that has a value for each sample, which must be the same for all. */
  private static int same(TiffDirectory directory, int tag, int otherwise, int samples)
      throws IOException {
    if (directory.count(tag) > 0xFFFF) {
      throw new ImageException(
          "Corrupt TIFF file: tag %d has %d values for %d bands"
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

  private void requireSupported() {
    boolean type =
        switch (sampleFormat) {
          case Tiff.UNSIGNED, 4 -> bits >= 1 && bits <= 32 || bits == 64;
          case Tiff.SIGNED -> bits == 8 || bits == 16 || bits == 32 || bits == 64;
          case Tiff.FLOATING -> bits == 16 || bits == 24 || bits == 32 || bits == 64;
          default -> false;
        };
    if (!type || fillOrder != 1 && fillOrder != 2) {
      throw new ImageException(
          ("A TIFF file with %d bands of %d bits, sample format %d, fill order %d; whole numbers"
                  + " of 1 to 32 bits, signed ones of 8, 16 and 32, both of 64, and floats of 16,"
                  + " 24, 32 and 64 are supported, in fill order 1 or 2")
              .formatted(samples, bits, sampleFormat, fillOrder));
    }
    if (!TiffBlocks.supports(compression) && !TiffImageBlocks.supports(compression)) {
      throw new ImageException(
          ("A TIFF file with compression %d%s; 1 (none), 2 to 4 (fax), 5 (LZW), 7 (JPEG), 8 and"
                  + " 32946 (Deflate), 32773 (PackBits), 34925 (LZMA), 50000 (Zstandard) and 50001"
                  + " (WebP) are supported")
              .formatted(
                  compression,
                  switch (compression) {
                    case Tiff.LERC -> " (LERC)";
                    case Tiff.OLD_JPEG -> " (old JPEG)";
                    case 33003, 33004, 33005, 34712 -> " (JPEG 2000)";
                    case 50002 -> " (JPEG XL)";
                    default -> "";
                  }));
    }
    boolean fits =
        TiffImageBlocks.isFax(compression)
            ? bits == 1 && samples == 1
            : !TiffImageBlocks.isOfBytes(compression)
                || bits == 8 && sampleFormat != Tiff.FLOATING && predictor == 1;
    if (!fits) {
      throw new ImageException(
          "A TIFF file with compression %d for %d bands of %d bits with predictor %d; fax has one of 1 bit, JPEG and WebP have 8 bits"
              .formatted(compression, samples, bits, predictor));
    }
    boolean predicted =
        predictor == 1
            || predictor == 2 && (bits == 8 || bits == 16 || bits == 32 || bits == 64)
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
          case Tiff.YCBCR -> compression == Tiff.JPEG && samples == 3;
          case Tiff.PALETTE -> whole && samples == 1;
          case Tiff.CMYK -> whole && bits >= 8 && samples == 4;
          case Tiff.TRANSPARENCY_MASK -> whole && samples == 1;
          default -> false;
        };
    if (!color) {
      throw new ImageException(
          ("A TIFF file of color kind %d with %d bands of %d bits; gray (0, 1), RGB (2), palette"
                  + " (3), CMYK (5) and, packed as JPEG, YCbCr (6) are supported")
              .formatted(photometric, samples, bits));
    }
  }

  private float[] palette(TiffDirectory directory) throws IOException {
    int colors = 1 << bits;
    if (directory.count(Tiff.COLOR_MAP) != 3L * colors) {
      throw new ImageException(
          "Corrupt TIFF file: a palette of %d numbers; %d are needed"
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
    ValueRange full = numbers.range();
    return photometric == Tiff.WHITE_IS_ZERO ? flipped(full) : full;
  }

  PixelFormat format() {
    boolean rgb = photometric != Tiff.WHITE_IS_ZERO && photometric != Tiff.BLACK_IS_ZERO;
    int colors = rgb ? 3 : 1;
    Bands bands =
        channels == colors || channels == colors + 1 && endsWithAlpha()
            ? Bands.ofPicture(channels)
            : endsWithAlpha() ? Bands.MEASUREMENTS_ALPHA : Bands.MEASUREMENTS;
    if (photometric == Tiff.PALETTE) {
      return PixelFormat.of(Bands.RGB, SampleType.UINT8);
    }
    PixelFormat full = PixelFormat.of(bands, numbers.type());
    boolean between = numbers.type().isInteger() && bits > 8 && bits < 16;
    ValueRange all = between ? ValueRange.ofBits(bits) : full.range();
    ValueRange shown = photometric == Tiff.WHITE_IS_ZERO ? flipped(all) : all;
    PixelFormat format = full.withRange(shown);
    OptionalDouble number = formatNoData(shown);
    return number.isPresent() ? format.withNoData(number.getAsDouble()) : format;
  }

  private boolean endsWithAlpha() {
    int last = extraSamples.length == 0 ? 0 : extraSamples[extraSamples.length - 1];
    return channels == samples
        && (last == Tiff.ASSOCIATED_ALPHA || last == Tiff.UNASSOCIATED_ALPHA);
  }

  private static ValueRange flipped(ValueRange range) {
    return new ValueRange(range.high(), range.low());
  }

  // ---------------------------------------------------------------- no data

  /**
   * Whether opacity says where there is data, as GDAL has it: a last band of whole numbers without
   * sign of up to 16 bits, where no number says it.
   */
  boolean saysNoDataByAlpha() {
    return format().bands().hasAlpha()
        && sampleFormat == Tiff.UNSIGNED
        && bits <= 16
        && noData.isEmpty();
  }

  boolean saysNoData() {
    return noData.isPresent();
  }

  private boolean isNoData(double number) {
    double said = noData.getAsDouble();
    return number == said || Double.isNaN(number) && Double.isNaN(said);
  }

  /** The number for no data among those of a result; colors have none. */
  private OptionalDouble formatNoData(ValueRange shown) {
    if (noData.isEmpty() || palette != null || photometric == Tiff.CMYK) {
      return OptionalDouble.empty();
    }
    double number = noData.getAsDouble();
    if (numbers.type() == SampleType.FLOAT32) {
      return OptionalDouble.of(TiffNumbers.toFloat(number));
    }
    // Fewer than 8 bits are stretched over 8.
    return OptionalDouble.of(Math.rint(shown.value(range.unit(number))));
  }

  /** Floats are big-endian after the third predictor, whatever the file's order. */
  ByteOrder valueOrder() {
    return predictor == 3 ? ByteOrder.BIG_ENDIAN : order;
  }

  /** An unpacked block; null if the file leaves it out, as a sparse one does. */
  byte[] read(SeekableByteChannel channel, int plane, int column, int row) throws IOException {
    int top = row * blockHeight;
    int rows = tiled ? blockHeight : Math.min(blockHeight, height - top);
    int strip = top / stripHeight;
    int index = (plane * ceil(height, stripHeight) + strip) * across + column;
    int size = rows * rowBytes;
    long skipped =
        compression == Tiff.UNCOMPRESSED ? (top - strip * stripHeight) * (long) rowBytes : 0;
    if (offsets[index] == 0 || lengths.length > 0 && lengths[index] == 0) {
      return null;
    }
    long length = lengths.length == 0 ? size : lengths[index] - skipped;
    // Packing may make a block larger, but not by much.
    long most = compression == Tiff.UNCOMPRESSED ? size : 2L * size + 4096;
    if (length < 1) {
      throw new ImageException("Corrupt TIFF file: a block of %d bytes".formatted(lengths[index]));
    }
    byte[] packed =
        TiffDirectory.bytes(
            channel, fileBytes, offsets[index] + skipped, (int) Math.min(length, most));
    if (fillOrder == 2 && !TiffImageBlocks.isOfBytes(compression)) {
      for (int i = 0; i < packed.length; i++) {
        packed[i] = (byte) (Integer.reverse(packed[i]) >>> 24);
      }
    }
    byte[] block =
        TiffImageBlocks.supports(compression)
            ? images.unpacked(packed, size, rows)
            : TiffBlocks.unpacked(compression, packed, size);
    TiffBlocks.unpredict(predictor, block, rowBytes, samplesPerPlane, bits / 8, order);
    return block;
  }

  /** The number of a sample in the file. */
  double number(ByteBuffer values, byte[] block, int rowAt, int index) {
    return numbers.number(values, block, rowAt, index);
  }

  /** What a file leaves out holds no data where it has a number for that, and else zeros. */
  double absent() {
    return noData.orElse(0);
  }

  /** Whether a number of the file says that there is no data. */
  boolean isMissing(double number, ReadOptions options) {
    return noData.isPresent()
        && (isNoData(number)
            || options.notFiniteAs().isPresent()
                && !isFinite(number)
                && isNoData(options.notFiniteAs().getAsDouble()));
  }

  private static boolean isFinite(double number) {
    return Math.abs(number) <= Float.MAX_VALUE;
  }

  /** The value of a number in the raster's terms; of a palette's, the number itself. */
  float unit(double number, ReadOptions options) {
    return palette != null ? (float) number : (float) range.unit(options.finite(number, "TIFF"));
  }

  /** Where the bands that are read hold no data, by where those in the file do. */
  BitSet toPicture(BitSet missing, int pixels) {
    if (channels == samples || missing.isEmpty()) {
      return missing;
    }
    BitSet all = missing.get(0, pixels);
    for (int s = 1; s < samples; s++) {
      all.and(missing.get(s * pixels, (s + 1) * pixels));
    }
    BitSet colors = new BitSet();
    for (int i = all.nextSetBit(0); i >= 0; i = all.nextSetBit(i + 1)) {
      for (int c = 0; c < channels; c++) {
        colors.set(c * pixels + i);
      }
    }
    return colors;
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
    if (format().bands().hasAlpha()
        && extraSamples[extraSamples.length - 1] == Tiff.ASSOCIATED_ALPHA) {
      int alphaAt = (channels - 1) * pixels;
      for (int i = 0; i < alphaAt; i++) {
        float alpha = data[alphaAt + i % pixels];
        data[i] = alpha > 0 ? data[i] / alpha : 0;
      }
    }
    return data;
  }
}
