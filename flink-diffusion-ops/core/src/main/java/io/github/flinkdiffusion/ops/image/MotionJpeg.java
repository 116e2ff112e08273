/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.Arrays;
import java.util.function.Predicate;

/**
 * JPEG files one after the other, as {@code ffmpeg -f mjpeg} and cameras (multipart) write them.
 */
final class MotionJpeg {
  /** Begins a multipart stream. */
  static final String BOUNDARY = "--";

  private static final int START = 0xD8;
  private static final int END = 0xD9;
  private static final int SCAN = 0xDA;

  private MotionJpeg() {}

  static void each(byte[] file, Predicate<byte[]> frames) {
    int begin = next(file, 0);
    if (begin == file.length) {
      throw new ImageException("A Motion JPEG file without a JPEG file in it");
    }
    boolean wanted = true;
    while (begin < file.length && wanted) {
      int end = end(file, begin);
      wanted = frames.test(Arrays.copyOfRange(file, begin, end));
      begin = next(file, end);
    }
  }

  /** Where the next JPEG file begins; the file's length if there is none. */
  private static int next(byte[] file, int from) {
    for (int at = from; at + 2 < file.length; at++) {
      if (marker(file, at) == START && (file[at + 2] & 0xFF) == 0xFF) {
        return at;
      }
    }
    return file.length;
  }

  /** The marker that begins there, or -1. */
  private static int marker(byte[] file, int at) {
    return (file[at] & 0xFF) == 0xFF ? file[at + 1] & 0xFF : -1;
  }

  /** Where a JPEG file ends; thumbnails within its segments are skipped with these. */
  private static int end(byte[] file, int begin) {
    int at = begin + 2;
    try {
      while (true) {
        int marker = marker(file, at);
        if (marker < 0) {
          throw new ImageException(
              "Corrupt Motion JPEG file: no marker at byte %d of the frame at byte %d"
                  .formatted(at - begin, begin));
        }
        if (marker == 0xFF) {
          at++; // fill byte
          continue;
        }
        at += 2;
        if (marker == END) {
          return at;
        }
        if (marker == 1 || isRestart(marker)) {
          continue;
        }
        at += (file[at] & 0xFF) << 8 | file[at + 1] & 0xFF;
        if (marker == SCAN) {
          at = afterScan(file, at);
        }
      }
    } catch (ArrayIndexOutOfBoundsException e) {
      throw new ImageException(
          "Truncated Motion JPEG file: the frame at byte %d does not end".formatted(begin), e);
    }
  }

  private static int afterScan(byte[] file, int from) {
    int at = from;
    while (true) {
      int marker = marker(file, at);
      if (marker > 0 && !isRestart(marker)) {
        return at;
      }
      at++;
    }
  }

  private static boolean isRestart(int marker) {
    return marker >= 0xD0 && marker <= 0xD7;
  }
}
