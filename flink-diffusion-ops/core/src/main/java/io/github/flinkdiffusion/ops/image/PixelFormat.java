/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.OptionalDouble;
import org.apache.flink.annotation.Internal;

/**
 * What the numbers of a raster are in a file.
 *
 * @param bands what the channels are
 * @param type what values are rounded to when they are written
 * @param range the file's numbers for 0 and 1
 * @param noData the file's number that says that there is no data, which the type can hold: any
 *     one, infinite or not a number for floats. No sample that has data is written as this number
 */
@Internal
public record PixelFormat(Bands bands, SampleType type, ValueRange range, OptionalDouble noData) {
  public PixelFormat {
    if (noData.isPresent() && !type.holds(noData.getAsDouble())) {
      throw new ImageException(
          "The number %s for no data is none of type %s".formatted(noData.getAsDouble(), type));
    }
  }

  /** Without a number for no data. */
  public PixelFormat(Bands bands, SampleType type, ValueRange range) {
    this(bands, type, range, OptionalDouble.empty());
  }

  /** The type's numbers over all that it can hold. */
  public static PixelFormat of(Bands bands, SampleType type) {
    return new PixelFormat(bands, type, type.fullRange());
  }

  /** A picture of 8 bits, 0 black and 255 white. */
  public static PixelFormat ofPicture(int channels) {
    return of(Bands.ofPicture(channels), SampleType.UINT8);
  }

  public PixelFormat withBands(Bands other) {
    return new PixelFormat(other, type, range, noData);
  }

  public PixelFormat withRange(ValueRange other) {
    return new PixelFormat(bands, type, other, noData);
  }

  /**
   * With a number that says that there is no data.
   *
   * @throws ImageException if the type does not hold it
   */
  public PixelFormat withNoData(double number) {
    return new PixelFormat(bands, type, range, OptionalDouble.of(number));
  }

  /** Without a number for no data. */
  public PixelFormat withoutNoData() {
    return new PixelFormat(bands, type, range);
  }

  /**
   * The file's number for a raster's value: rounded, and cut to what the type holds. Where that is
   * the number for no data, it is the next one that the type holds.
   */
  double sample(float x) {
    double value = range.value(x);
    double nearest = type.nearest(value);
    return noData.isPresent() && nearest == noData.getAsDouble()
        ? type.beside(nearest, value)
        : nearest;
  }

  /** What stands in a file where there is no data. */
  double noDataSample() {
    return noData.orElse(0);
  }
}
