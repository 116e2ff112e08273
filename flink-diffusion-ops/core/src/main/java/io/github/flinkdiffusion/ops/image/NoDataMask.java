/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.BitSet;
import java.util.List;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * Which samples of a {@link Raster} hold no data: a satellite did not see there, or a scanner had
 * nothing to measure. At least one sample holds none; a raster in which all hold data has no mask.
 *
 * <p>Bands differ where a file says by a number that there is no data, and are alike where it has a
 * mask. A pixel lacks data when all of its samples do, as GDAL's dataset mask has it.
 *
 * <p>Immutable: the bits are neither copied in nor out, so whoever holds them leaves them as they
 * are.
 */
@Internal
public final class NoDataMask {
  private final int channels;
  private final int height;
  private final int width;

  /** Set where there is no data, in the order of a raster's values. */
  private final BitSet missing;

  private NoDataMask(int channels, int height, int width, BitSet missing) {
    this.channels = channels;
    this.height = height;
    this.width = width;
    this.missing = missing;
  }

  /**
   * @param missing set where there is no data, in the order of {@link Raster#data}; not to be
   *     changed from now on
   * @return empty if no bit is set
   */
  public static Optional<NoDataMask> of(int channels, int height, int width, BitSet missing) {
    if (missing.isEmpty()) {
      return Optional.empty();
    }
    if (missing.length() > (long) channels * height * width) {
      throw new ImageException(
          "Sample %d holds no data, of an image of %d channels x %d x %d"
              .formatted(missing.length() - 1, channels, height, width));
    }
    return Optional.of(new NoDataMask(channels, height, width, missing));
  }

  public int channels() {
    return channels;
  }

  public int height() {
    return height;
  }

  public int width() {
    return width;
  }

  /** Whether a sample holds no data, by its index in {@link Raster#data}. */
  public boolean isMissing(int index) {
    return missing.get(index);
  }

  /** Whether no sample holds data. */
  public boolean isWhole() {
    return missing.cardinality() == channels * height * width;
  }

  /** The pixels, {@code y * width + x}, of which no sample holds data. */
  public BitSet pixels() {
    int plane = height * width;
    BitSet pixels = missing.get(0, plane);
    for (int c = 1; c < channels && !pixels.isEmpty(); c++) {
      pixels.and(missing.get(c * plane, (c + 1) * plane));
    }
    return pixels;
  }

  /** A part; empty if all of it holds data. */
  public Optional<NoDataMask> crop(Window window) {
    BitSet part = new BitSet();
    for (int c = 0; c < channels; c++) {
      for (int y = 0; y < window.height(); y++) {
        int from = (c * height + window.y() + y) * width + window.x();
        int to = (c * window.height() + y) * window.width();
        copy(missing, from, window.width(), part, to);
      }
    }
    return of(channels, window.height(), window.width(), part);
  }

  private static void copy(BitSet source, int from, int length, BitSet target, int to) {
    int end = from + length;
    int begin = source.nextSetBit(from);
    while (begin >= 0 && begin < end) {
      int stop = Math.min(end, source.nextClearBit(begin));
      target.set(to + begin - from, to + stop - from);
      begin = source.nextSetBit(stop);
    }
  }

  /**
   * Of an image of another size: a pixel is as the one that its center lies in. Empty if that
   * leaves none without data.
   */
  public Optional<NoDataMask> resized(int toHeight, int toWidth) {
    if (toHeight == height && toWidth == width) {
      return Optional.of(this);
    }
    BitSet resized = new BitSet();
    for (int c = 0; c < channels; c++) {
      for (int y = 0; y < toHeight; y++) {
        int row = (c * height + nearest(y, toHeight, height)) * width;
        int to = (c * toHeight + y) * toWidth;
        for (int x = 0; x < toWidth; x++) {
          if (missing.get(row + nearest(x, toWidth, width))) {
            resized.set(to + x);
          }
        }
      }
    }
    return of(channels, toHeight, toWidth, resized);
  }

  private static int nearest(int position, int length, int ofLength) {
    return (int) ((2L * position + 1) * ofLength / (2L * length));
  }

  /** Of some bands, each from 0, in this order; empty if they all hold data. */
  public Optional<NoDataMask> bands(List<Integer> bands) {
    int plane = height * width;
    BitSet chosen = new BitSet();
    for (int c = 0; c < bands.size(); c++) {
      copy(missing, bands.get(c) * plane, plane, chosen, c * plane);
    }
    return of(bands.size(), height, width, chosen);
  }

  /** Of an image of so many bands, all of them missing where no sample holds data here. */
  public Optional<NoDataMask> pixels(int bands) {
    if (bands == 1 && channels == 1) {
      return Optional.of(this);
    }
    int plane = height * width;
    BitSet pixels = pixels();
    BitSet all = new BitSet();
    for (int c = 0; c < bands; c++) {
      copy(pixels, 0, plane, all, c * plane);
    }
    return of(bands, height, width, all);
  }

  /** Continued to the right and downwards by the last column and row. */
  public NoDataMask continued(int toHeight, int toWidth) {
    BitSet continued = new BitSet();
    for (int c = 0; c < channels; c++) {
      for (int y = 0; y < toHeight; y++) {
        int row = (c * height + Math.min(y, height - 1)) * width;
        int to = (c * toHeight + y) * toWidth;
        copy(missing, row, width, continued, to);
        if (missing.get(row + width - 1)) {
          continued.set(to + width, to + toWidth);
        }
      }
    }
    return new NoDataMask(channels, toHeight, toWidth, continued);
  }

  /**
   * Replaces what stands where there is no data by the nearest sample of the band that has some, by
   * steps along rows and columns; by 0 in a band without any. So nothing that is computed of
   * neighbors depends on a number that only says that there is no data.
   */
  public void fill(float[] data) {
    int plane = height * width;
    for (int c = 0; c < channels; c++) {
      if (missing.nextSetBit(c * plane) >= 0 && missing.nextSetBit(c * plane) < (c + 1) * plane) {
        fill(data, c * plane, plane);
      }
    }
  }

  private void fill(float[] data, int begin, int plane) {
    BitSet left = missing.get(begin, begin + plane);
    int[] queue = new int[left.cardinality()];
    int count = 0;
    // First those beside data, then those beside them, and so on.
    BitSet first = new BitSet();
    for (int i = left.nextSetBit(0); i >= 0; i = left.nextSetBit(i + 1)) {
      int source = neighborWithData(left, i, plane);
      if (source >= 0) {
        data[begin + i] = data[begin + source];
        first.set(i);
        queue[count++] = i;
      } else {
        data[begin + i] = 0;
      }
    }
    left.andNot(first);
    for (int next = 0; next < count; next++) {
      int at = queue[next];
      int x = at % width;
      count = spread(data, begin, left, at, x > 0 ? at - 1 : -1, queue, count);
      count = spread(data, begin, left, at, x < width - 1 ? at + 1 : -1, queue, count);
      count = spread(data, begin, left, at, at - width, queue, count);
      count = spread(data, begin, left, at, at + width < plane ? at + width : -1, queue, count);
    }
  }

  private int neighborWithData(BitSet left, int at, int plane) {
    int x = at % width;
    if (x > 0 && !left.get(at - 1)) {
      return at - 1;
    }
    if (x < width - 1 && !left.get(at + 1)) {
      return at + 1;
    }
    if (at >= width && !left.get(at - width)) {
      return at - width;
    }
    return at + width < plane && !left.get(at + width) ? at + width : -1;
  }

  private static int spread(
      float[] data, int begin, BitSet left, int from, int to, int[] queue, int count) {
    if (to < 0 || !left.get(to)) {
      return count;
    }
    left.clear(to);
    data[begin + to] = data[begin + from];
    queue[count] = to;
    return count + 1;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof NoDataMask that
        && channels == that.channels
        && height == that.height
        && width == that.width
        && missing.equals(that.missing);
  }

  @Override
  public int hashCode() {
    return missing.hashCode();
  }

  @Override
  public String toString() {
    return "NoDataMask[%d of %d x %d x %d]"
        .formatted(missing.cardinality(), channels, height, width);
  }
}
