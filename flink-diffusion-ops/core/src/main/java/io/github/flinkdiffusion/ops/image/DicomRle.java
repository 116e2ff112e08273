/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Frames packed by run lengths (PS3.5, annex G): each byte of each sample is a segment of its own,
 * the uppermost first.
 */
final class DicomRle {
  private static final int HEADER = 64;

  private DicomRle() {}

  static DicomSamples decode(byte[] packed, DicomLayout layout) {
    int pixels = layout.pixels();
    int size = layout.allocated() / 8;
    int segments = layout.samples() * size;
    if (size < 1 || segments > 15) {
      throw new ImageException(
          "A DICOM file of %d samples of %d bits packed by run lengths; at most 15 bytes in all are possible"
              .formatted(layout.samples(), layout.allocated()));
    }
    if (packed.length < HEADER) {
      throw new ImageException(
          "Corrupt DICOM file: a frame of %d bytes, of which %d are a header"
              .formatted(packed.length, HEADER));
    }
    ByteBuffer header = ByteBuffer.wrap(packed).order(ByteOrder.LITTLE_ENDIAN);
    if (header.getInt(0) != segments) {
      throw new ImageException(
          "Corrupt DICOM file: a frame of %d segments; %d samples of %d bits have %d"
              .formatted(header.getInt(0), layout.samples(), layout.allocated(), segments));
    }
    int[] words = new int[pixels * layout.samples()];
    byte[] plane = new byte[pixels];
    for (int i = 0; i < segments; i++) {
      long from = header.getInt(4 + 4 * i) & 0xFFFFFFFFL;
      long to = i + 1 < segments ? header.getInt(8 + 4 * i) & 0xFFFFFFFFL : packed.length;
      if (from < HEADER || to < from || to > packed.length) {
        throw new ImageException(
            "Corrupt DICOM file: segment %d is said to be at %d to %d of %d bytes"
                .formatted(i, from, to, packed.length));
      }
      unpack(packed, (int) from, (int) to, plane);
      int first = i / size * pixels;
      for (int p = 0; p < pixels; p++) {
        words[first + p] = words[first + p] << 8 | plane[p] & 0xFF;
      }
    }
    for (int i = 0; i < words.length; i++) {
      words[i] = layout.number(words[i]);
    }
    return new DicomSamples(layout.samples(), words, null, layout.photometric());
  }

  private static void unpack(byte[] packed, int from, int to, byte[] plane) {
    int at = from;
    int filled = 0;
    while (filled < plane.length) {
      if (at >= to) {
        throw new ImageException(
            "Corrupt DICOM file: a segment gives %d of %d bytes".formatted(filled, plane.length));
      }
      int code = packed[at++];
      if (code == -128) {
        continue;
      }
      int count = code >= 0 ? code + 1 : 1 - code;
      int taken = code >= 0 ? count : 1;
      if (taken > to - at) {
        throw new ImageException("Corrupt DICOM file: a segment ends within a run");
      }
      // Some programs pad the last run.
      int used = Math.min(count, plane.length - filled);
      for (int i = 0; i < used; i++) {
        plane[filled++] = packed[code >= 0 ? at + i : at];
      }
      at += taken;
    }
  }
}
