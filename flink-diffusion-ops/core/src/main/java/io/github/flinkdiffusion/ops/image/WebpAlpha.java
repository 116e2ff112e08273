/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.function.Function;

/**
 * Opacity beside a lossy image: the chunk ALPH of a WebP file, which holds it as it is or packed
 * like a lossless image without a header, and after either as differences.
 */
final class WebpAlpha {
  private static final int AS_IT_IS = 0;
  private static final int LOSSLESS = 1;

  /** What opacity is the difference from: nothing, the pixel before, above, or a plane of three. */
  private static final int BEFORE = 1;

  private static final int ABOVE = 2;
  private static final int PLANE = 3;

  private WebpAlpha() {}

  /**
   * Opacity of each pixel, a byte each.
   *
   * @param begin first byte of the chunk's content
   * @param end after its last
   * @param green gives of a lossless file the greens, a byte each
   */
  static byte[] decode(
      byte[] file, int begin, int end, int width, int height, Function<byte[], byte[]> green) {
    int header = begin < end ? file[begin] & 0xFF : -1;
    int pixels = width * height;
    byte[] alpha;
    if ((header & 3) == AS_IT_IS && end - begin - 1 >= pixels) {
      alpha = Arrays.copyOfRange(file, begin + 1, begin + 1 + pixels);
    } else if (header >= 0 && (header & 3) == LOSSLESS) {
      alpha = green.apply(asLosslessFile(file, begin + 1, end, width, height));
    } else {
      throw new ImageException(
          "Corrupt WebP file: its opacity of %d bytes is not whole, or packed in way %d"
              .formatted(end - begin, header & 3));
    }
    restore(alpha, width, height, header >> 2 & 3);
    return alpha;
  }

  private static byte[] asLosslessFile(byte[] file, int begin, int end, int width, int height) {
    int payload = 5 + end - begin;
    int padded = payload + (payload & 1);
    ByteBuffer whole = ByteBuffer.allocate(20 + padded).order(ByteOrder.LITTLE_ENDIAN);
    whole.put("RIFF".getBytes(StandardCharsets.US_ASCII)).putInt(12 + padded);
    whole.put("WEBPVP8L".getBytes(StandardCharsets.US_ASCII)).putInt(payload);
    whole.put((byte) 0x2F).putInt(width - 1 | height - 1 << 14);
    return whole.put(file, begin, end - begin).array();
  }

  private static void restore(byte[] alpha, int width, int height, int filter) {
    if (filter == 0) {
      return;
    }
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        int at = y * width + x;
        alpha[at] += (byte) predicted(alpha, at, x, y, width, filter);
      }
    }
  }

  private static int predicted(byte[] alpha, int at, int x, int y, int width, int filter) {
    int before = x > 0 ? alpha[at - 1] & 0xFF : 0;
    if (y == 0) {
      return before;
    }
    int above = alpha[at - width] & 0xFF;
    return switch (filter) {
      case BEFORE -> x > 0 ? before : above;
      case ABOVE -> above;
      case PLANE -> x > 0 ? Vp8Plane.clip(before + above - (alpha[at - width - 1] & 0xFF)) : above;
      default -> 0;
    };
  }
}
