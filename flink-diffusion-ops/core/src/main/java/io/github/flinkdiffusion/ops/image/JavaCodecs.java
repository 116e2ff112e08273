/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.Iterator;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.ImageWriter;

/**
 * Java's own readers and writers. Others that happen to be registered in the process, by whatever
 * class loader, are not asked: an image must not depend on them.
 */
final class JavaCodecs {
  private static final String OWN = "com.sun.imageio.plugins.";

  private JavaCodecs() {}

  static ImageReader reader(String format) {
    return own(ImageIO.getImageReadersByFormatName(format), format);
  }

  static ImageWriter writer(String format) {
    return own(ImageIO.getImageWritersByFormatName(format), format);
  }

  private static <T> T own(Iterator<T> found, String format) {
    while (found.hasNext()) {
      T codec = found.next();
      if (codec.getClass().getName().startsWith(OWN)) {
        return codec;
      }
    }
    throw new ImageException(
        "This Java has no codec of its own for %s files; is java.desktop complete?"
            .formatted(format));
  }
}
