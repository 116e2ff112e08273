/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.Arrays;
import java.util.BitSet;
import java.util.Objects;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * A picture: channels x height x width floats, all of one channel before the next, rows from the
 * top. 0 is dark and 1 is bright, whatever the file's numbers were: its {@link PixelFormat} says
 * which numbers 0 and 1 stand for and what they are rounded to when they are written, so a 16-bit
 * or float picture goes through a network and comes back in its own units. Values below 0 and above
 * 1 are allowed: they are numbers outside of the format's range. Opacity is not premultiplied.
 *
 * <p>Some samples may hold no data, see {@link #noData()}. Their values are those of neighbors and
 * mean nothing: in a file, the format's number for no data stands there, or a mask says so.
 *
 * <p>Whole numbers of up to 16 bits come back exactly, whatever the range; floats come back exactly
 * if their range is 0..1, and else within about 1e-7 of the range.
 *
 * <p>Immutable by convention: the array is neither copied in nor out, because pictures pass through
 * many hands, so whoever holds one leaves it as it is.
 *
 * <pre>{@code
 * Raster scene = Images.read(file, ReadOptions.DEFAULT);             // 16 bits, 0..65535
 * Raster input = scene.over(new ValueRange(0, 10_000));              // reflectance: 10000 is white
 * Raster result = new Raster(3, 4 * h, 4 * w, network(input.data())).like(input);
 * byte[] tiff = Images.write(result, "image/tiff");                  // 16 bits, same units, same place
 * byte[] view = PngCodec.encode(result.storedAs(SampleType.UINT8));  // 10000 is white
 * }</pre>
 */
@Internal
public final class Raster {
  private final int channels;
  private final int height;
  private final int width;
  private final float[] data;
  private final PixelFormat format;
  private final ImageMetadata metadata;

  /** Null where all samples hold data. */
  private final NoDataMask noData;

  /**
   * A picture of 8 bits without metadata.
   *
   * @param data the elements, which from now on nobody changes
   * @throws ImageException if a size is not positive or the array has another length than they say
   */
  public Raster(int channels, int height, int width, float[] data) {
    this(channels, height, width, data, PixelFormat.ofPicture(channels), ImageMetadata.NONE);
  }

  /**
   * @param data the elements, which from now on nobody changes
   * @throws ImageException if a size is not positive, the array has another length than they say,
   *     or the format's bands are of another number
   */
  public Raster(
      int channels,
      int height,
      int width,
      float[] data,
      PixelFormat format,
      ImageMetadata metadata) {
    this(channels, height, width, data, format, metadata, null);
  }

  private Raster(
      int channels,
      int height,
      int width,
      float[] data,
      PixelFormat format,
      ImageMetadata metadata,
      NoDataMask noData) {
    if (channels <= 0 || height <= 0 || width <= 0) {
      throw new ImageException(
          "An image of %d channels x %d x %d; each must be at least 1"
              .formatted(channels, height, width));
    }
    long elements = elements(channels, height, width);
    if (data.length != elements) {
      throw new ImageException(
          "An image of %d channels x %d x %d takes %d values, not %d"
              .formatted(channels, height, width, elements, data.length));
    }
    if (!format.bands().fits(channels)) {
      throw new ImageException("%d channels cannot be %s".formatted(channels, format.bands()));
    }
    this.channels = channels;
    this.height = height;
    this.width = width;
    this.data = data;
    this.format = format;
    this.metadata = metadata;
    this.noData = noData;
  }

  private static long elements(int channels, int height, int width) {
    long plane = (long) height * width;
    // At most 2^62, so only the second product can overflow.
    return plane > Long.MAX_VALUE / channels ? Long.MAX_VALUE : plane * channels;
  }

  /** A picture of one value. */
  public static Raster filled(int channels, int height, int width, float value) {
    float[] data = new float[Math.toIntExact(elements(channels, height, width))];
    Arrays.fill(data, value);
    return new Raster(channels, height, width, data);
  }

  public int channels() {
    return channels;
  }

  /** Rows. */
  public int height() {
    return height;
  }

  /** Pixels of a row. */
  public int width() {
    return width;
  }

  /**
   * All values; not to be changed. The value at (channel, y, x) is at {@code (channel * height + y)
   * * width + x}.
   */
  public float[] data() {
    return data;
  }

  /** What the values are in a file. */
  public PixelFormat format() {
    return format;
  }

  public ImageMetadata metadata() {
    return metadata;
  }

  /** Which samples hold no data; empty where all do. */
  public Optional<NoDataMask> noData() {
    return Optional.ofNullable(noData);
  }

  /**
   * This image with samples that hold no data, as a reader finds them. Their values become those of
   * the nearest samples of the band that hold some, so that nothing which is computed of neighbors
   * depends on what a file has there.
   *
   * @param missing set for samples without data, in the order of {@link #data}; not to be changed
   *     from now on
   */
  public Raster withNoData(BitSet missing) {
    Optional<NoDataMask> mask = NoDataMask.of(channels, height, width, missing);
    if (mask.isEmpty()) {
      return new Raster(channels, height, width, data, format, metadata);
    }
    float[] filled = data.clone();
    mask.get().fill(filled);
    return new Raster(channels, height, width, filled, format, metadata, mask.get());
  }

  /**
   * This image, which lacks data where a mask says so. Its values stay: they are a result's, and
   * are not written there.
   *
   * @param mask of this image's size and bands
   */
  public Raster masked(NoDataMask mask) {
    if (mask.channels() != channels || mask.height() != height || mask.width() != width) {
      throw new ImageException("%s with %s, which is of another size".formatted(this, mask));
    }
    return new Raster(channels, height, width, data, format, metadata, mask);
  }

  /** One value; nothing is checked but the array's bounds. */
  public float at(int channel, int y, int x) {
    return data[(channel * height + y) * width + x];
  }

  /** The same file's numbers over another range: what is 0 and 1 changes, and so all values. */
  public Raster over(ValueRange range) {
    if (range.equals(format.range())) {
      return this;
    }
    float[] moved = new float[data.length];
    for (int i = 0; i < data.length; i++) {
      moved[i] = (float) range.unit(format.range().value(data[i]));
    }
    return new Raster(channels, height, width, moved, format.withRange(range), metadata, noData);
  }

  /**
   * The same look in another type: black stays black and white stays white, and the file's numbers
   * change.
   */
  public Raster storedAs(SampleType type) {
    return withFormat(PixelFormat.of(format.bands(), type));
  }

  /** The same values, which now stand for other numbers or bands. */
  public Raster withFormat(PixelFormat other) {
    return new Raster(channels, height, width, data, other, metadata, noData);
  }

  public Raster withMetadata(ImageMetadata other) {
    return new Raster(channels, height, width, data, format, other, noData);
  }

  /**
   * This picture as what became of another one: in the source's numbers, at its place, its pixels
   * as much smaller as this picture has more of them, without data where the source has none. The
   * bands are the source's if there are as many.
   */
  public Raster like(Raster source) {
    Bands bands =
        source.format.bands().fits(channels) && channels == source.channels
            ? source.format.bands()
            : format.bands();
    return new Raster(
        channels,
        height,
        width,
        data,
        source.format.withBands(bands),
        source.metadata.scaled((double) width / source.width, (double) height / source.height),
        source
            .noData()
            .flatMap(mask -> mask.resized(height, width))
            .flatMap(
                mask -> mask.channels() == channels ? Optional.of(mask) : mask.pixels(channels))
            .orElse(null));
  }

  /** A part, at its own place. */
  public Raster crop(Window window) {
    window.requireInside(width, height);
    float[] part = new float[channels * window.height() * window.width()];
    for (int c = 0; c < channels; c++) {
      for (int y = 0; y < window.height(); y++) {
        System.arraycopy(
            data,
            (c * height + window.y() + y) * width + window.x(),
            part,
            (c * window.height() + y) * window.width(),
            window.width());
      }
    }
    return new Raster(
        channels,
        window.height(),
        window.width(),
        part,
        format,
        metadata.cropped(window.x(), window.y()),
        noData().flatMap(mask -> mask.crop(window)).orElse(null));
  }

  /**
   * Turned upright, for an image that stands in its file as EXIF's orientation says.
   *
   * @param orientation 1 upright, 2 mirrored, 3 upside down, 4 both, 5 to 8 the same with rows for
   *     columns
   */
  Raster upright(int orientation) {
    if (orientation <= 1 || orientation > 8) {
      return this;
    }
    boolean turned = orientation >= 5;
    // Where row 0 and column 0 of the file are.
    boolean fromRight =
        turned ? orientation == 7 || orientation == 8 : orientation == 2 || orientation == 3;
    boolean fromBottom =
        turned ? orientation == 6 || orientation == 7 : orientation == 3 || orientation == 4;
    int toHeight = turned ? width : height;
    int toWidth = turned ? height : width;
    float[] upright = new float[data.length];
    BitSet missing = new BitSet();
    for (int c = 0; c < channels; c++) {
      for (int y = 0; y < toHeight; y++) {
        for (int x = 0; x < toWidth; x++) {
          int row = turned ? x : y;
          int column = turned ? y : x;
          int from =
              (c * height + (fromBottom ? height - 1 - row : row)) * width
                  + (fromRight ? width - 1 - column : column);
          int to = (c * toHeight + y) * toWidth + x;
          upright[to] = data[from];
          if (noData != null && noData.isMissing(from)) {
            missing.set(to);
          }
        }
      }
    }
    return new Raster(
        channels,
        toHeight,
        toWidth,
        upright,
        format,
        turned ? metadata.turned() : metadata,
        NoDataMask.of(channels, toHeight, toWidth, missing).orElse(null));
  }

  /** Whether the other has the same size, format and metadata and, bit by bit, the same values. */
  @Override
  public boolean equals(Object other) {
    return other instanceof Raster that
        && channels == that.channels
        && height == that.height
        && width == that.width
        && format.equals(that.format)
        && metadata.equals(that.metadata)
        && Objects.equals(noData, that.noData)
        && Arrays.equals(data, that.data);
  }

  @Override
  public int hashCode() {
    return 31 * (31 * channels + height) + Arrays.hashCode(data);
  }

  @Override
  public String toString() {
    return "Raster[" + channels + " x " + height + " x " + width + "]";
  }
}
