/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.function.Consumer;
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
   * @param most frames that are accepted
   * @return how many there were
   * @throws ImageException for a file that cannot be read, or has more
   */
  public static int each(byte[] file, ImageLimits limits, int most, Consumer<byte[]> frames) {
    if (startsWith(file, 0, "RIFF") && startsWith(file, 8, "AVI ")) {
      throw new ImageException(
          "An AVI file, which is not supported; make a Motion JPEG file of it: ffmpeg -i FILE -c:v"
              + " mjpeg -f mjpeg FILE.mjpeg");
    }
    int[] count = new int[1];
    Consumer<byte[]> counting =
        frame -> {
          if (++count[0] > most) {
            throw new ImageException("More than %d frames, which are accepted".formatted(most));
          }
          frames.accept(frame);
        };
    Optional<ImageKind> kind = ImageKind.of(file);
    if (kind.equals(Optional.of(ImageKind.GIF))) {
      GifFrames.each(file, limits, counting);
    } else if (kind.equals(Optional.of(ImageKind.PNG)) && PngFrames.isAnimated(file)) {
      PngFrames.each(file, limits, counting);
    } else if (kind.equals(Optional.of(ImageKind.JPEG))
        || startsWith(file, 0, MotionJpeg.BOUNDARY)
        || startsWith(file, 2, MotionJpeg.BOUNDARY)) {
      MotionJpeg.each(file, counting);
    } else {
      counting.accept(file);
    }
    return count[0];
  }

  private static boolean startsWith(byte[] file, int at, String text) {
    byte[] bytes = text.getBytes(StandardCharsets.ISO_8859_1);
    return file.length >= at + bytes.length
        && java.util.Arrays.equals(file, at, at + bytes.length, bytes, 0, bytes.length);
  }
}
