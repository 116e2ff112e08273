package io.github.flinkdiffusion.ops.image;

import java.util.Arrays;

/**
 * A picture: channels x height x width floats, all of one channel before the next, rows from the
 * top. In a picture to be shown, 0 is dark and 1 is bright; channels are gray, gray and alpha,
 * red-green-blue, or red-green-blue and alpha (not premultiplied).
 *
 * <p>Immutable by convention: the array is neither copied in nor out, because pictures pass through
 * many hands, so whoever holds one leaves it as it is.
 */
public final class Raster {
  private final int channels;
  private final int height;
  private final int width;
  private final float[] data;

  /**
   * @param data the elements, which from now on nobody changes
   * @throws ImageException if a size is not positive or the array has another length than they say
   */
  public Raster(int channels, int height, int width, float[] data) {
    if (channels <= 0 || height <= 0 || width <= 0) {
      throw new ImageException(
          "A picture of %d channels x %d x %d; each must be at least 1"
              .formatted(channels, height, width));
    }
    long elements = elements(channels, height, width);
    if (data.length != elements) {
      throw new ImageException(
          "A picture of %d channels x %d x %d takes %d values, not %d"
              .formatted(channels, height, width, elements, data.length));
    }
    this.channels = channels;
    this.height = height;
    this.width = width;
    this.data = data;
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

  /** One value; nothing is checked but the array's bounds. */
  public float at(int channel, int y, int x) {
    return data[(channel * height + y) * width + x];
  }

  /** Whether the other has the same size and, bit by bit, the same values. */
  @Override
  public boolean equals(Object other) {
    return other instanceof Raster that
        && channels == that.channels
        && height == that.height
        && width == that.width
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
