/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.image.FloatResize;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import org.apache.flink.annotation.Internal;

/**
 * {@code IMAGE_RESIZE(image, width, height)}: the picture in another size, by Keys' cubic filter
 * over all pixels that a new one covers; the kind of file, the numbers and the place stay.
 */
@Internal
public final class ImageResizeFunction extends PlainFunction {
  private static final long serialVersionUID = 1L;
  private static final int MOST_PIXELS_A_SIDE = 8192;

  ImageResizeFunction(boolean failing) {
    super("IMAGE_RESIZE", failing);
  }

  public byte[] eval(byte[] image, Integer width, Integer height) {
    if (image == null || width == null || height == null) {
      return null;
    }
    return valueOrNull(() -> resized(image, width, height));
  }

  private static byte[] resized(byte[] file, int width, int height) {
    if (width < 1 || height < 1 || Math.max(width, height) > MOST_PIXELS_A_SIDE) {
      throw new ImageException(
          "IMAGE_RESIZE to %d x %d pixels; expected 1 to %d each"
              .formatted(width, height, MOST_PIXELS_A_SIDE));
    }
    Raster picture = read(file);
    Raster other =
        FloatResize.resize(picture, height, width, PilResize.Filter.BICUBIC).like(picture);
    return Images.write(other, ImageConvertFunction.writable(file));
  }
}
