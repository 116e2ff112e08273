/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Images;
import java.util.Locale;
import java.util.Map;
import org.apache.flink.annotation.Internal;

/**
 * {@code IMAGE_CONVERT(image, kind)}: the picture as a file of another kind, 'png', 'jpeg' or
 * 'tiff', with what of its metadata such files hold.
 */
@Internal
public final class ImageConvertFunction extends PlainFunction {
  private static final long serialVersionUID = 1L;

  private static final Map<String, String> KINDS =
      Map.of(
          "png", "image/png",
          "jpeg", "image/jpeg",
          "jpg", "image/jpeg",
          "tiff", "image/tiff",
          "tif", "image/tiff");

  ImageConvertFunction(boolean failing) {
    super("IMAGE_CONVERT", failing);
  }

  public byte[] eval(byte[] image, String kind) {
    if (image == null || kind == null) {
      return null;
    }
    return valueOrNull(() -> Images.write(read(image), mediaType(kind)));
  }

  private static String mediaType(String kind) {
    String mediaType = KINDS.get(kind.toLowerCase(Locale.ROOT));
    if (mediaType == null) {
      throw new ImageException("IMAGE_CONVERT to '%s'; expected png, jpeg or tiff".formatted(kind));
    }
    return mediaType;
  }

  /** The file's own kind if such files can be written, else TIFF, which holds everything. */
  static String writable(byte[] file) {
    String own = Images.mediaType(file).orElseThrow();
    return KINDS.containsValue(own) ? own : "image/tiff";
  }
}
