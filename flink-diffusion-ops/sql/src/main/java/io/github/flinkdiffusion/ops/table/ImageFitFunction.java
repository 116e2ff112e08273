/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.image.FilledSize;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.PngCodec;
import org.apache.flink.annotation.Internal;

/**
 * {@code IMAGE_FIT(image, width, height)}: the picture in a size that it fills, cut at two sides if
 * it has another shape, as a PNG file.
 */
@Internal
public final class ImageFitFunction extends PlainFunction {
  private static final long serialVersionUID = 1L;
  private static final int MOST_PIXELS_A_SIDE = 8192;

  ImageFitFunction(boolean failing) {
    super("IMAGE_FIT", failing);
  }

  public byte[] eval(byte[] image, Integer width, Integer height) {
    if (image == null || width == null || height == null) {
      return null;
    }
    return valueOrNull(() -> fitted(image, width, height));
  }

  private static byte[] fitted(byte[] file, int width, int height) {
    if (width < 1 || height < 1 || Math.max(width, height) > MOST_PIXELS_A_SIDE) {
      throw new ImageException(
          "IMAGE_FIT to %d x %d pixels; expected 1 to %d each"
              .formatted(width, height, MOST_PIXELS_A_SIDE));
    }
    return PngCodec.encode(FilledSize.of(read(file), height, width));
  }
}
