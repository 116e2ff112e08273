/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import org.apache.flink.annotation.Internal;

/**
 * What 0 and 1 in a {@link Raster} stand for, in the numbers of its file: {@code value = low + x *
 * (high - low)}. This is how 16-bit counts, reflectances and Hounsfield units meet networks that
 * think in 0..1, and find back: the range travels with the raster, and values outside of it stay
 * what they are, below 0 or above 1.
 *
 * <p>{@code low} may be above {@code high}: the file's small numbers are then the bright ones.
 *
 * @param low the number that is 0, or black
 * @param high the number that is 1, or white
 */
@Internal
public record ValueRange(double low, double high) {

  public ValueRange {
    if (!Double.isFinite(low) || !Double.isFinite(high) || low == high) {
      throw new ImageException(
          "A value range from %s to %s; two different finite numbers are needed"
              .formatted(low, high));
    }
  }

  /** The range of whole numbers of so many bits, such as the 12 that many sensors have. */
  public static ValueRange ofBits(int bits) {
    if (bits < 1 || bits > 32) {
      throw new ImageException("Whole numbers of %d bits; 1 to 32 are supported".formatted(bits));
    }
    return new ValueRange(0, (double) (1L << bits) - 1);
  }

  /** The file's number for a raster's value. */
  public double value(double x) {
    return low + x * (high - low);
  }

  /** The raster's value for a file's number. */
  public double unit(double value) {
    // Adding 0 makes 0 of -0, which a descending range has.
    return (value - low) / (high - low) + 0.0;
  }

  boolean descending() {
    return low > high;
  }

  @Override
  public String toString() {
    return low + ".." + high;
  }
}
