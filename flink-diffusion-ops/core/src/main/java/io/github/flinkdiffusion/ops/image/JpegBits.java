/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

/**
 * The bits of a JPEG scan, the uppermost of a byte first. What is stuffed behind a byte of ones is
 * left out; a marker ends the bits.
 */
final class JpegBits {
  private final byte[] file;
  private int at;
  private long bits;
  private int count;

  JpegBits(byte[] file, int at) {
    this.file = file;
    this.at = at;
  }

  /** At least so many bits are there, or the scan is at its end and zeros follow. */
  private void fill() {
    while (count <= 48) {
      if (at >= file.length) {
        return;
      }
      int next = file[at] & 0xFF;
      if (next == 0xFF) {
        if (at + 1 >= file.length || file[at + 1] != 0) {
          return;
        }
        at++;
      }
      at++;
      bits = bits << 8 | next;
      count += 8;
    }
  }

  /** The next 16 bits, with zeros behind the end. */
  int peek16() {
    if (count < 16) {
      fill();
    }
    return (int) (count >= 16 ? bits >>> count - 16 : bits << 16 - count) & 0xFFFF;
  }

  void skip(int length) {
    if (length > count) {
      throw new ImageException("Truncated JPEG data: a scan ends at byte %d".formatted(at));
    }
    count -= length;
  }

  /** So many bits as a number; at most 16. */
  int read(int length) {
    if (length == 0) {
      return 0;
    }
    int value = peek16() >>> 16 - length;
    skip(length);
    return value;
  }

  /** A number of a size class: the upper half is positive. */
  int signed(int length) {
    if (length == 0) {
      return 0;
    }
    int value = read(length);
    return value < 1 << length - 1 ? value - (1 << length) + 1 : value;
  }

  /** Passes over what is left of a byte and the marker behind it, which begins the bits anew. */
  void restart(int number) {
    bits = 0;
    count = 0;
    int marker = 0xD0 + (number & 7);
    while (at + 1 < file.length && (file[at] & 0xFF) == 0xFF && (file[at + 1] & 0xFF) == 0xFF) {
      at++;
    }
    if (at + 1 >= file.length || (file[at] & 0xFF) != 0xFF || (file[at + 1] & 0xFF) != marker) {
      throw new ImageException(
          "Corrupt JPEG data: restart marker %X is expected at byte %d".formatted(marker, at));
    }
    at += 2;
  }

  /** The place of the marker behind the scan. */
  int end() {
    int marker = at;
    while (marker + 1 < file.length && ((file[marker] & 0xFF) != 0xFF || file[marker + 1] == 0)) {
      marker++;
    }
    return marker;
  }
}
