/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import javax.imageio.ImageReader;

/**
 * GIF files, of animated ones the first frame, read by Java's own codec. Where a first frame is
 * smaller than the whole, what it leaves open is the background's color, or clear.
 */
final class GifCodec implements ImageFormat {

  @Override
  public ImageKind kind() {
    return ImageKind.GIF;
  }

  /** Width and height by a file's first bytes; both 0 where these do not say it. */
  static int[] size(byte[] head) {
    if (head.length < 13) {
      return new int[2];
    }
    ByteBuffer bytes = ByteBuffer.wrap(head).order(ByteOrder.LITTLE_ENDIAN);
    return new int[] {bytes.getShort(6) & 0xFFFF, bytes.getShort(8) & 0xFFFF};
  }

  @Override
  public Raster read(byte[] file, ReadOptions options) {
    if (options.page() > 0) {
      throw new ImageException(
          "Page %d of a GIF file, of which the first frame is read".formatted(options.page()));
    }
    int[] size = size(file);
    if (size[0] < 1 || size[1] < 1) {
      throw new ImageException(
          "Corrupt GIF file: it says that it is %d x %d pixels".formatted(size[0], size[1]));
    }
    options.limits().check(size[0], size[1], 4);
    Window place = firstFrame(file);
    if ((long) place.right() > size[0] || (long) place.bottom() > size[1]) {
      throw new ImageException(
          "Corrupt GIF file: its first frame of %d x %d pixels at (%d, %d) reaches out of %d x %d"
              .formatted(place.width(), place.height(), place.x(), place.y(), size[0], size[1]));
    }
    ImageReader reader = JavaCodecs.reader("gif");
    try (BoundedImageStream in = new BoundedImageStream(file, "GIF")) {
      reader.setInput(in, true, true);
      BufferedImage frame = reader.read(0);
      if (frame.getWidth() != place.width() || frame.getHeight() != place.height()) {
        throw new ImageException("Corrupt GIF file: it says two different sizes");
      }
      Raster pixels = JavaImages.toRaster(frame);
      return place.width() == size[0] && place.height() == size[1]
          ? pixels
          : within(pixels, place, size[0], size[1]);
    } catch (ImageException e) {
      throw e;
    } catch (IOException | RuntimeException e) {
      throw new ImageException("Corrupt GIF file: " + e, e);
    } finally {
      reader.dispose();
    }
  }

  /** What is around a frame is black, and clear if the frame has opacity. */
  private static Raster within(Raster frame, Window place, int width, int height) {
    float[] data = new float[frame.channels() * width * height];
    for (int c = 0; c < frame.channels(); c++) {
      for (int y = 0; y < place.height(); y++) {
        System.arraycopy(
            frame.data(),
            (c * place.height() + y) * place.width(),
            data,
            (c * height + place.y() + y) * width + place.x(),
            place.width());
      }
    }
    return new Raster(frame.channels(), height, width, data);
  }

  /** Where the first frame lies, found by its block's mark behind palettes and extensions. */
  private static Window firstFrame(byte[] file) {
    ByteBuffer bytes = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    try {
      int flags = bytes.get(10);
      int at = 13 + ((flags & 0x80) != 0 ? 3 << (flags & 7) + 1 : 0);
      while (bytes.get(at) == 0x21) {
        at += 2;
        while (bytes.get(at) != 0) {
          at += 1 + (bytes.get(at) & 0xFF);
        }
        at++;
      }
      if (bytes.get(at) != 0x2C) {
        throw new ImageException("Corrupt GIF file: there is no image at byte %d".formatted(at));
      }
      return new Window(
          bytes.getShort(at + 1) & 0xFFFF,
          bytes.getShort(at + 3) & 0xFFFF,
          bytes.getShort(at + 5) & 0xFFFF,
          bytes.getShort(at + 7) & 0xFFFF);
    } catch (IndexOutOfBoundsException e) {
      throw new ImageException(
          "Truncated GIF file: it ends at byte %d before its first image".formatted(file.length),
          e);
    }
  }
}
