/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.Arrays;
import org.apache.flink.annotation.Internal;

/**
 * An invisible mark in a picture that says who made it, as diffusers puts it into the pictures of
 * Stable Diffusion XL (the method {@code dwtDct} of the package invisible-watermark), and its
 * reader.
 *
 * <p>The message goes, bit after bit and again from its beginning, into the blocks of 4 x 4 values
 * of the color difference U at half size. In every block the value of largest magnitude is moved to
 * the middle of the lower (0) or upper (1) half of its interval of 36 levels. Whoever reads takes
 * the majority of a bit's blocks, which survives 8-bit samples and mild compression, but neither
 * scaling nor cropping: this is a label, not a lock.
 *
 * <p>Despite the name no cosine transform is involved, and the package hands the two middle bands
 * of the wavelet back in each other's place, which mirrors the color of each 2 x 2 pixels on its
 * diagonal. Both are kept: the pictures shall be the reference's.
 */
@Internal
public final class DwtDctWatermark {

  /** The message of 48 bits that diffusers and Stability AI's own code write. */
  public static final DwtDctWatermark STABLE_DIFFUSION_XL =
      new DwtDctWatermark("101100111110110010010000011110111011000110011110");

  /** The reference refuses pictures with fewer pixels. */
  private static final int LEAST_PIXELS = 256 * 256;

  /** diffusers leaves narrower pictures unmarked. */
  private static final int LEAST_WIDTH = 256;

  /** Values of U a side of a block; a value stands for 2 x 2 pixels. */
  private static final int BLOCK = 4;

  /** The flattest picture that fits has 546 blocks. */
  private static final int MOST_BITS = 512;

  /** Levels, of 255, of the interval whose halves tell 0 from 1. */
  private static final float INTERVAL = 36;

  /** What the mean of a bit's votes must exceed to be a 1: a tie is. */
  private static final double ONE_ABOVE = 127 / 255.0;

  private static final float HAAR = (float) Math.sqrt(0.5);

  private final boolean[] message;

  private DwtDctWatermark(String bits) {
    this(bits(bits));
  }

  /**
   * @param message 1 to 512 bits, which every picture of a size that {@link #fits fits} has blocks
   *     for
   */
  public DwtDctWatermark(boolean[] message) {
    if (message.length < 1 || message.length > MOST_BITS) {
      throw new ImageException(
          "A watermark of %d bits; 1 to %d are supported".formatted(message.length, MOST_BITS));
    }
    this.message = message.clone();
  }

  private static boolean[] bits(String digits) {
    boolean[] bits = new boolean[digits.length()];
    for (int i = 0; i < bits.length; i++) {
      bits[i] = digits.charAt(i) == '1';
    }
    return bits;
  }

  /**
   * What was read from a picture.
   *
   * @param bits the message found; noise where there is none
   * @param matching how many of them are the expected ones: all or nearly all in a marked picture,
   *     about half in any other
   */
  public record Reading(boolean[] bits, int matching) {
    @Override
    public boolean equals(Object other) {
      return other instanceof Reading that && Arrays.equals(bits, that.bits);
    }

    @Override
    public int hashCode() {
      return Arrays.hashCode(bits);
    }

    @Override
    public String toString() {
      StringBuilder digits = new StringBuilder(bits.length);
      for (boolean bit : bits) {
        digits.append(bit ? '1' : '0');
      }
      return digits + " (" + matching + " of " + bits.length + " as expected)";
    }
  }

  /** Whether pictures of this size are marked: 256 pixels wide and 65536 in all, at least. */
  public static boolean fits(int height, int width) {
    return width >= LEAST_WIDTH && (long) height * width >= LEAST_PIXELS && height >= 2 * BLOCK;
  }

  /**
   * A picture with the message in it, cut to 0..1; the picture itself where it does not {@link
   * #fits fit}.
   *
   * @param picture red, green and blue. Values need not lie in 0..1: the reference marks what the
   *     decoder put out and cuts afterwards.
   * @throws ImageException if it has other than 3 channels, or a value that is not finite
   */
  public Raster embed(Raster picture) {
    check(picture);
    int height = picture.height();
    int width = picture.width();
    if (!fits(height, width)) {
      return picture;
    }
    ColorDifference colors = ColorDifference.of(picture);
    Bands bands = new Bands(colors.u, width, height / 4 * 2, width / 4 * 2);
    int blocks = 0;
    for (int top = 0; top + BLOCK <= bands.rows; top += BLOCK) {
      for (int left = 0; left + BLOCK <= bands.columns; left += BLOCK) {
        int at = bands.loudest(top, left);
        float value = bands.low[at];
        float magnitude = Math.abs(value);
        float interval = (magnitude - magnitude % INTERVAL) / INTERVAL;
        float bit = message[blocks++ % message.length] ? 0.5f : 0;
        float moved = (interval + 0.25f + bit) * INTERVAL;
        bands.low[at] = value >= 0 ? moved : -moved;
      }
    }
    bands.writeTo(colors.u, width);
    return colors.toRaster(height, width);
  }

  /**
   * Looks for the message.
   *
   * @param picture red, green and blue, of a size that {@link #fits fits}
   * @throws ImageException if it is smaller, has other than 3 channels, or a value that is not
   *     finite
   */
  public Reading read(Raster picture) {
    check(picture);
    int height = picture.height();
    int width = picture.width();
    if (!fits(height, width)) {
      throw new ImageException(
          "%s is too small to be marked; %d pixels of width and %d in all are the least"
              .formatted(picture, LEAST_WIDTH, LEAST_PIXELS));
    }
    Bands bands = new Bands(ColorDifference.of(picture).u, width, height / 4 * 2, width / 4 * 2);
    int[] ones = new int[message.length];
    int[] votes = new int[message.length];
    int blocks = 0;
    for (int top = 0; top + BLOCK <= bands.rows; top += BLOCK) {
      for (int left = 0; left + BLOCK <= bands.columns; left += BLOCK) {
        float magnitude = Math.abs(bands.low[bands.loudest(top, left)]);
        int bit = blocks++ % message.length;
        votes[bit]++;
        ones[bit] += magnitude % INTERVAL > INTERVAL / 2 ? 1 : 0;
      }
    }
    boolean[] bits = new boolean[message.length];
    int matching = 0;
    for (int i = 0; i < bits.length; i++) {
      bits[i] = (double) ones[i] / votes[i] > ONE_ABOVE;
      matching += bits[i] == message[i] ? 1 : 0;
    }
    return new Reading(bits, matching);
  }

  private static void check(Raster picture) {
    if (picture.channels() != 3) {
      throw new ImageException(
          "%s cannot carry a watermark: red, green and blue are needed".formatted(picture));
    }
    for (float value : picture.data()) {
      if (!Float.isFinite(value)) {
        throw new ImageException(
            "%s holds the value %s; a watermark needs finite ones".formatted(picture, value));
      }
    }
  }

  /**
   * A picture as luma and two color differences, in levels of 255, with OpenCV's coefficients and
   * its order of float operations.
   */
  private record ColorDifference(float[] y, float[] u, float[] v) {
    private static final float ZERO = 0.5f;

    static ColorDifference of(Raster picture) {
      int pixels = picture.height() * picture.width();
      float[] data = picture.data();
      float[] y = new float[pixels];
      float[] u = new float[pixels];
      float[] v = new float[pixels];
      for (int i = 0; i < pixels; i++) {
        float red = 255 * data[i];
        float green = 255 * data[pixels + i];
        float blue = 255 * data[2 * pixels + i];
        y[i] = Math.fma(blue, 0.114f, Math.fma(green, 0.587f, red * 0.299f));
        u[i] = Math.fma(blue - y[i], 0.492f, ZERO);
        v[i] = Math.fma(red - y[i], 0.877f, ZERO);
      }
      return new ColorDifference(y, u, v);
    }

    Raster toRaster(int height, int width) {
      int pixels = y.length;
      float[] data = new float[3 * pixels];
      for (int i = 0; i < pixels; i++) {
        float du = u[i] - ZERO;
        float dv = v[i] - ZERO;
        data[i] = unit(Math.fma(dv, 1.14f, y[i]));
        data[pixels + i] = unit(Math.fma(dv, -0.581f, Math.fma(du, -0.395f, y[i])));
        data[2 * pixels + i] = unit(Math.fma(du, 2.032f, y[i]));
      }
      return new Raster(3, height, width, data);
    }

    private static float unit(float level) {
      return Math.max(0, Math.min(1, level / 255));
    }
  }

  /** One step of the Haar wavelet over the part of a plane that whole blocks of pixels cover. */
  private static final class Bands {
    private final int rows;
    private final int columns;
    private final float[] low;
    private final float[] between1;
    private final float[] between2;
    private final float[] high;

    /**
     * @param rows of each band, half of the plane's that are used
     * @param columns of each band
     */
    Bands(float[] plane, int width, int rows, int columns) {
      this.rows = rows;
      this.columns = columns;
      low = new float[rows * columns];
      between1 = new float[rows * columns];
      between2 = new float[rows * columns];
      high = new float[rows * columns];
      for (int i = 0; i < low.length; i++) {
        int at = pixel(i, width);
        float lowLeft = plane[at] * HAAR + plane[at + width] * HAAR;
        float lowRight = plane[at + 1] * HAAR + plane[at + width + 1] * HAAR;
        float highLeft = plane[at] * HAAR - plane[at + width] * HAAR;
        float highRight = plane[at + 1] * HAAR - plane[at + width + 1] * HAAR;
        low[i] = lowLeft * HAAR + lowRight * HAAR;
        between1[i] = highLeft * HAAR + highRight * HAAR;
        between2[i] = lowLeft * HAAR - lowRight * HAAR;
        high[i] = highLeft * HAAR - highRight * HAAR;
      }
    }

    private int pixel(int i, int width) {
      return 2 * (i / columns) * width + 2 * (i % columns);
    }

    /** Puts the pixels back, with the two middle bands exchanged, as the reference does. */
    void writeTo(float[] plane, int width) {
      for (int i = 0; i < low.length; i++) {
        int at = pixel(i, width);
        float left = low[i] * HAAR + between1[i] * HAAR;
        float right = low[i] * HAAR - between1[i] * HAAR;
        float leftSlope = between2[i] * HAAR + high[i] * HAAR;
        float rightSlope = between2[i] * HAAR - high[i] * HAAR;
        plane[at] = left * HAAR + leftSlope * HAAR;
        plane[at + 1] = right * HAAR + rightSlope * HAAR;
        plane[at + width] = left * HAAR - leftSlope * HAAR;
        plane[at + width + 1] = right * HAAR - rightSlope * HAAR;
      }
    }

    /** Where a block's value of largest magnitude is; its first value, its mean, is left out. */
    int loudest(int top, int left) {
      int best = -1;
      for (int i = 1; i < BLOCK * BLOCK; i++) {
        int at = (top + i / BLOCK) * columns + left + i % BLOCK;
        if (best < 0 || Math.abs(low[at]) > Math.abs(low[best])) {
          best = at;
        }
      }
      return best;
    }
  }
}
