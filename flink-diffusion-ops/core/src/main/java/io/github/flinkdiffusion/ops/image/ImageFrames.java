/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.function.Predicate;
import org.apache.flink.annotation.Internal;

/**
 * The frames of a file as files of their own: of animated GIF and PNG files, each as a viewer shows
 * it; of Motion JPEG (JPEG files one after the other, with anything between them), the JPEG files
 * as they are; of any other image, the file itself.
 */
@Internal
public final class ImageFrames {
  private ImageFrames() {}

  /**
   * Hands over one frame after the other; no two of them are held at once.
   *
   * @param frames says of each whether more are wanted
   * @throws ImageException for a file that cannot be read
   */
  public static void each(byte[] file, ImageLimits limits, Predicate<byte[]> frames) {
    if (startsWith(file, 0, "RIFF") && startsWith(file, 8, "AVI ")) {
      throw new ImageException(
          "An AVI file, which is not supported; make a Motion JPEG file of it: ffmpeg -i FILE -c:v"
              + " mjpeg -f mjpeg FILE.mjpeg");
    }
    Optional<ImageKind> kind = ImageKind.of(file);
    if (kind.equals(Optional.of(ImageKind.GIF))) {
      GifFrames.each(file, limits, frames);
    } else if (kind.equals(Optional.of(ImageKind.PNG)) && PngFrames.isAnimated(file)) {
      PngFrames.each(file, limits, frames);
    } else if (kind.equals(Optional.of(ImageKind.JPEG))
        || startsWith(file, 0, MotionJpeg.BOUNDARY)
        || startsWith(file, 2, MotionJpeg.BOUNDARY)) {
      MotionJpeg.each(file, frames);
    } else {
      frames.test(file);
    }
  }

  private static boolean startsWith(byte[] file, int at, String text) {
    byte[] bytes = text.getBytes(StandardCharsets.ISO_8859_1);
    return file.length >= at + bytes.length
        && java.util.Arrays.equals(file, at, at + bytes.length, bytes, 0, bytes.length);
  }
}
