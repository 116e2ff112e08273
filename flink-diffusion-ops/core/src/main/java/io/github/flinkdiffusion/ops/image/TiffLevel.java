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
import java.util.Arrays;
import java.util.BitSet;
import java.util.function.Supplier;
import java.util.zip.Deflater;

/**
 * One resolution of an image on its way into a TIFF file: rows from the top become packed tiles in
 * a spool, which the file is put together from. Every two rows become one of the next level.
 */
final class TiffLevel implements AutoCloseable {
  private static final int TILE = TiffWriter.TILE;

  final int width;
  final int height;
  private final int channels;
  private final PixelFormat format;
  private final int across;
  private final boolean mean;
  private final SeekableByteChannel channel;

  /** Where tiles are in the spool. */
  final long[] offsets;

  final long[] lengths;

  /** The next level; null for the last. */
  final TiffLevel next;

  private final Deflater deflater = new Deflater(Deflater.BEST_SPEED);
  long end;

  /**
   * Rows that wait for a row of tiles to be full, as the file has them, pixel by pixel; null before
   * the first.
   */
  private ByteBuffer waiting;

  /** Where the rows that wait hold no data, channel by channel. */
  private final BitSet waitingMissing = new BitSet();

  private int waitingRows;

  /** Where the mask's tiles are; null as long as all pixels hold data, or a number says so. */
  long[] maskOffsets;

  long[] maskLengths;

  /** A row that waits for the one below it; null if there is none. */
  private Raster upper;

  private int appendedRows;

  /**
   * @param mean whether a pixel of the next level is the mean of four, and not the first of them
   * @param spool makes a place for the tiles of a level
   */
  TiffLevel(
      int width,
      int height,
      int channels,
      PixelFormat format,
      boolean mean,
      Supplier<SeekableByteChannel> spool) {
    this.width = width;
    this.height = height;
    this.channels = channels;
    this.format = format;
    this.mean = mean;
    this.across = (width + TILE - 1) / TILE;
    long tiles = (long) across * ((height + TILE - 1) / TILE);
    if (tiles > 1 << 26) {
      throw new ImageException(
          "A TIFF file of %d x %d pixels has %d tiles; at most %d are written"
              .formatted(width, height, tiles, 1 << 26));
    }
    this.offsets = new long[(int) tiles];
    this.lengths = new long[(int) tiles];
    this.channel = spool.get();
    boolean last = width <= TILE && height <= TILE;
    this.next =
        last
            ? null
            : new TiffLevel((width + 1) / 2, (height + 1) / 2, channels, format, mean, spool);
  }

  SeekableByteChannel spool() {
    return channel;
  }

  int appendedRows() {
    return appendedRows;
  }

  /** Takes the next rows, of this level's width. */
  void append(Raster rows) {
    if (waiting == null) {
      waiting =
          ByteBuffer.allocate(Math.multiplyExact(channels * TILE * sampleBytes(), width))
              .order(ByteOrder.LITTLE_ENDIAN);
    }
    for (int y = 0; y < rows.height(); y++) {
      for (int c = 0; c < channels; c++) {
        takeMissing(rows, c, y);
        takeSamples(rows, c, y);
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
      if (next != null) {
        reduce(rows.crop(new Window(0, y, width, 1)));
      }
    }
  }

  private void reduce(Raster row) {
    if (upper == null && appendedRows < height) {
      upper = row;
      return;
    }
    Raster first = upper == null ? row : upper;
    upper = null;
    float[] reduced = new float[channels * next.width];
    BitSet missing = new BitSet();
    for (int c = 0; c < channels; c++) {
      for (int x = 0; x < next.width; x++) {
        int left = c * width + 2 * x;
        int right = 2 * x + 1 < width ? left + 1 : left;
        float sum = 0;
        int count = 0;
        for (int i = 0; i < 4; i++) {
          Raster of = i < 2 ? first : row;
          int at = i % 2 == 0 ? left : right;
          if ((mean || count == 0) && !isMissing(of, at)) {
            sum += of.data()[at];
            count++;
          }
        }
        if (count == 0) {
          missing.set(c * next.width + x);
        } else {
          reduced[c * next.width + x] = sum / count;
        }
      }
    }
    Raster half = new Raster(channels, 1, next.width, reduced, format, ImageMetadata.NONE);
    next.append(NoDataMask.of(channels, 1, next.width, missing).map(half::masked).orElse(half));
  }

  private static boolean isMissing(Raster row, int index) {
    return row.noData().isPresent() && row.noData().get().isMissing(index);
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

  private int sampleBytes() {
    return format.type().bits() / 8;
  }

  private void takeSamples(Raster rows, int c, int y) {
    int from = (c * rows.height() + y) * width;
    int row = waitingRows * width * channels;
    for (int x = 0; x < width; x++) {
      double sample = format.noDataSample();
      if (!waitingMissing.get((c * TILE + waitingRows) * width + x)) {
        float value = rows.data()[from + x];
        if (!Float.isFinite(value)) {
          throw new ImageException(
              "The TIFF tile at (%d, %d) holds the value %s; finite numbers are written"
                  .formatted(x / TILE * TILE, appendedRows / TILE * TILE, value));
        }
        sample = format.sample(value);
      }
      put(waiting, (row + x * channels + c) * sampleBytes(), sample);
    }
  }

  /** Writes the tile at (x, y) from the rows that wait. */
  private void write(int x, int y) {
    int index = y / TILE * across + x / TILE;
    int tileWidth = Math.min(TILE, width - x);
    int tileHeight = Math.min(TILE, height - y);
    int pixelBytes = channels * sampleBytes();
    byte[] samples = new byte[TILE * TILE * pixelBytes];
    for (int row = 0; row < tileHeight; row++) {
      System.arraycopy(
          waiting.array(),
          (row * width + x) * pixelBytes,
          samples,
          row * TILE * pixelBytes,
          tileWidth * pixelBytes);
    }
    predict(samples, sampleBytes());
    try {
      lengths[index] = append(deflated(samples));
      offsets[index] = end - lengths[index] - lengths[index] % 2;
      if (format.noData().isEmpty()) {
        writeMask(index, x, tileWidth, tileHeight);
      }
    } catch (IOException e) {
      throw new ImageException("Cannot write a tile of a TIFF file: " + e, e);
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

  /** Tiles of pixels that all hold data are one and the same. */
  void fillMask() throws IOException {
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

  private void writeAt(long at, byte[] bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.wrap(bytes);
    channel.position(at);
    while (buffer.hasRemaining()) {
      channel.write(buffer);
    }
  }

  /** Ends this level and the next ones. */
  @Override
  public void close() {
    deflater.end();
    try (channel) {
      if (next != null) {
        next.close();
      }
    } catch (IOException e) {
      throw new ImageException("Cannot close a level of a TIFF file: " + e, e);
    }
  }
}
