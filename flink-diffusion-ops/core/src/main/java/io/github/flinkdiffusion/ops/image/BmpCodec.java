/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import javax.imageio.ImageReader;

/** BMP files, read by Java's own codec. */
final class BmpCodec implements ImageFormat {
  private static final int RLE8 = 1;
  private static final int RLE4 = 2;
  private static final int END_OF_ROW = 0;
  private static final int END_OF_IMAGE = 1;
  private static final int MOVE = 2;

  @Override
  public ImageKind kind() {
    return ImageKind.BMP;
  }

  /** Width and height by a file's first bytes; both 0 where these do not say it. */
  static long[] size(byte[] head) {
    if (head.length < 26) {
      return new long[2];
    }
    ByteBuffer bytes = ByteBuffer.wrap(head).order(ByteOrder.LITTLE_ENDIAN);
    return bytes.getInt(14) == 12
        ? new long[] {bytes.getShort(18) & 0xFFFF, bytes.getShort(20) & 0xFFFF}
        // From the top where the height is negative.
        : new long[] {bytes.getInt(18), Math.abs((long) bytes.getInt(22))};
  }

  @Override
  public Raster read(byte[] file, ReadOptions options) {
    if (options.page() > 0) {
      throw new ImageException("Page %d of a BMP file, which has one".formatted(options.page()));
    }
    long[] size = size(file);
    if (size[0] < 1 || size[0] > Integer.MAX_VALUE || size[1] < 1 || size[1] > Integer.MAX_VALUE) {
      throw new ImageException(
          "Corrupt BMP file: it says that it is %d x %d pixels".formatted(size[0], size[1]));
    }
    options.limits().check((int) size[0], (int) size[1], 4);
    requirePixels(file);
    requireWholeRuns(file, size);
    ImageReader reader = JavaCodecs.reader("bmp");
    try (BoundedImageStream in = new BoundedImageStream(file, "BMP")) {
      reader.setInput(in, true, true);
      return JavaImages.toRaster(reader.read(0));
    } catch (ImageException e) {
      throw e;
    } catch (IOException | RuntimeException e) {
      throw new ImageException("Corrupt BMP file: " + e, e);
    } finally {
      reader.dispose();
    }
  }

  /**
   * A file may hold a PNG or JPEG file in place of pixels, for printers; these are not looked at.
   */
  private static void requirePixels(byte[] file) {
    ByteBuffer bytes = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    int compression = bytes.getInt(14) == 12 || file.length < 34 ? 0 : bytes.getInt(30);
    if (compression < 0 || compression > 3) {
      throw new ImageException(
          "A BMP file with compression %d; none (0), RLE8 (1), RLE4 (2) and bit fields (3) are supported"
              .formatted(compression));
    }
  }

  /**
   * Of packed pixels, runs must end with their row, and rows with the image: Java's codec fills in
   * something where they do not.
   */
  private static void requireWholeRuns(byte[] file, long[] size) {
    ByteBuffer bytes = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    int compression = bytes.getInt(14) == 12 || file.length < 34 ? 0 : bytes.getInt(30);
    if (compression != RLE8 && compression != RLE4) {
      return;
    }
    long at = bytes.getInt(10) & 0xFFFFFFFFL;
    long x = 0;
    long y = 0;
    while (at + 1 < file.length) {
      int count = file[(int) at] & 0xFF;
      int code = file[(int) at + 1] & 0xFF;
      at += 2;
      if (count == 0 && code == END_OF_IMAGE) {
        return;
      }
      if (count == 0 && code == END_OF_ROW) {
        x = 0;
        y++;
        continue;
      }
      if (count == 0 && code == MOVE) {
        if (at + 1 >= file.length) {
          break;
        }
        x += file[(int) at] & 0xFF;
        y += file[(int) at + 1] & 0xFF;
        at += 2;
      } else if (count == 0) {
        x += code;
        int packed = compression == RLE8 ? code : (code + 1) / 2;
        at += packed + (packed & 1);
      } else {
        x += count;
      }
      if (x > size[0] || y >= size[1]) {
        throw new ImageException(
            ("Corrupt BMP file: a run of its packed pixels ends at pixel %d of row %d, and the"
                    + " image is %d x %d pixels")
                .formatted(x, y + 1, size[0], size[1]));
      }
    }
    throw new ImageException(
        "Truncated BMP file: its packed pixels have no end mark in %d bytes"
            .formatted(file.length));
  }
}
