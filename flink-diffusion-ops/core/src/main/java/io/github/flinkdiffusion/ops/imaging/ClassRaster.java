/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SampleType;
import java.util.Objects;
import org.apache.flink.annotation.Internal;

/**
 * The class of every pixel, a byte each: a fourth of what a {@link Raster} takes.
 *
 * <p>Immutable by convention, as a {@link Raster} is.
 *
 * @param width in pixels
 * @param height in pixels
 * @param numbers of the classes, row by row from the top, unsigned
 */
@Internal
public record ClassRaster(int width, int height, byte[] numbers) {

  public ClassRaster {
    Objects.requireNonNull(numbers, "numbers");
    if (width < 1 || height < 1 || numbers.length != (long) width * height) {
      throw new IllegalArgumentException(
          "An image of classes of %d x %d pixels with %d numbers"
              .formatted(width, height, numbers.length));
    }
  }

  /** The number of a pixel's class. */
  public int at(int x, int y) {
    return numbers[y * width + x] & 0xff;
  }

  /** As a picture of 8 bits whose numbers are those of the classes. */
  public Raster toRaster() {
    float[] values = new float[numbers.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = (numbers[i] & 0xff) / 255f;
    }
    return new Raster(1, height, width, values)
        .withFormat(PixelFormat.of(Bands.GRAY, SampleType.UINT8));
  }

  /** The other way round: what {@link #toRaster} gave, or was read from its file. */
  public static ClassRaster of(Raster picture) {
    if (picture.channels() != 1) {
      throw new IllegalArgumentException(picture + " is not an image of class numbers");
    }
    byte[] numbers = new byte[picture.data().length];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = (byte) Math.round(picture.data()[i] * 255);
    }
    return new ClassRaster(picture.width(), picture.height(), numbers);
  }
}
