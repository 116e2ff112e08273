/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.IOException;
import java.io.OutputStream;

/**
 * The pixels of a DICOM segmentation, frame after frame. Bits of a frame follow those of the one
 * before, though it may end within a byte; the last byte is filled up, and their number is even.
 */
final class SegmentPixels implements AutoCloseable {
  private final OutputStream out;
  private final int pixels;
  private final boolean fractional;
  private int pending;
  private int bits;
  private long length;

  /**
   * @param pixels of a frame
   * @param fractional whether a pixel is a share of 255 instead of a bit
   */
  SegmentPixels(OutputStream out, int pixels, boolean fractional) {
    this.out = out;
    this.pixels = pixels;
    this.fractional = fractional;
  }

  void append(DicomSegmentation.Segment segment) throws IOException {
    float[] shares = segment.shares();
    if (shares.length != pixels) {
      throw new ImageException(
          "Segment '%s' has %d pixels; %d are expected"
              .formatted(segment.label(), shares.length, pixels));
    }
    byte[] bytes = new byte[fractional ? pixels : (bits + pixels) / 8];
    int at = 0;
    for (float share : shares) {
      if (fractional) {
        bytes[at++] = (byte) Math.rint(255 * Math.max(0, Math.min(1, share)));
        continue;
      }
      if (share >= 0.5f) {
        pending |= 1 << bits;
      }
      if (++bits == 8) {
        bytes[at++] = (byte) pending;
        pending = 0;
        bits = 0;
      }
    }
    out.write(bytes);
    length += bytes.length;
  }

  /** Ends the last byte. */
  @Override
  public void close() throws IOException {
    if (bits > 0) {
      out.write(pending);
      length++;
      bits = 0;
    }
    if (length % 2 == 1) {
      out.write(0);
      length++;
    }
    out.close();
  }

  /** Bytes in all, once it is closed. */
  long length() {
    return length;
  }
}
