/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.image.ClassColors;
import io.github.flinkdiffusion.ops.image.PngCodec;
import org.apache.flink.annotation.Internal;

/**
 * {@code IMAGE_CLASS_COLORS(mask [, colors])}: numbers of classes, such as those of {@code
 * SEGMENT}, in colors, as a PNG file; without colors in those of PASCAL VOC.
 */
@Internal
public final class ImageClassColorsFunction extends PlainFunction {
  private static final long serialVersionUID = 1L;

  ImageClassColorsFunction(boolean failing) {
    super("IMAGE_CLASS_COLORS", failing);
  }

  public byte[] eval(byte[] mask) {
    return mask == null
        ? null
        : valueOrNull(() -> PngCodec.encode(ClassColors.VOC.paint(read(mask))));
  }

  /** With six hexadecimal digits for each class, separated by blanks or commas. */
  public byte[] eval(byte[] mask, String colors) {
    if (mask == null || colors == null) {
      return null;
    }
    return valueOrNull(() -> PngCodec.encode(ClassColors.parse(colors).paint(read(mask))));
  }
}
