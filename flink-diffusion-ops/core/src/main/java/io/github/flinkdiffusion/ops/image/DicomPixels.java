/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Frames of a DICOM file's pixels, each read when it is asked for. */
final class DicomPixels {
  private final DicomDataSet set;
  private final DicomSyntax syntax;
  private final DicomLayout layout;
  private final DicomDataSet.Element element;

  DicomPixels(DicomDataSet set, DicomSyntax syntax, DicomLayout layout) {
    this.set = set;
    this.syntax = syntax;
    this.layout = layout;
    int tag =
        switch (layout.real()) {
          case 0 -> DicomTag.PIXELS;
          case 32 -> DicomTag.FLOAT_PIXELS;
          default -> DicomTag.DOUBLE_PIXELS;
        };
    this.element =
        set.element(tag).orElseThrow(() -> new ImageException("The DICOM file has no pixels"));
  }

  /** The stored values of a frame, from 0. */
  DicomSamples frame(int index) {
    if (!element.undefined()) {
      return uncompressed(index);
    }
    DicomFragments fragments = DicomFragments.of(set, element, layout.frames());
    byte[] packed = fragments.frame(index, packedBytes());
    return DicomDecoders.decode(syntax, packed, layout);
  }

  /** Packing may make a frame larger, but not by much. */
  private long packedBytes() {
    return 4 * (layout.frameBits() / 8) + (1 << 16);
  }

  private DicomSamples uncompressed(int index) {
    if (syntax.inFragments() && syntax != DicomSyntax.ENCAPSULATED) {
      throw new ImageException(
          "Corrupt DICOM file: its pixels are %s, but not in fragments".formatted(syntax.words()));
    }
    long firstBit = index * layout.frameBits();
    // Frames of single bits follow each other without a gap.
    long first = firstBit / 8;
    long end = (firstBit + layout.frameBits() + 7) / 8;
    if (end > element.length()) {
      throw new ImageException(
          "Corrupt DICOM file: %d bytes of pixels; frame %d ends at %d"
              .formatted(element.length(), index, end));
    }
    ByteOrder order = set.encoding().order();
    boolean swapped =
        order == ByteOrder.BIG_ENDIAN && layout.allocated() == 8 && element.type().equals("OW");
    // Bytes that stand in words of two are fetched by words.
    long from = swapped ? first & ~1 : first;
    long to = swapped ? Math.min(end + 1 & ~1, element.length()) : end;
    byte[] bytes = set.source().bytes(element.at() + from, Math.toIntExact(to - from));
    if (swapped) {
      for (int i = 0; i + 1 < bytes.length; i += 2) {
        byte even = bytes[i];
        bytes[i] = bytes[i + 1];
        bytes[i + 1] = even;
      }
    }
    return unpacked(bytes, (int) (8 * (first - from) + firstBit % 8), order, layout);
  }

  /** Values from bytes that are as in an uncompressed file. */
  static DicomSamples unpacked(byte[] bytes, int firstBit, ByteOrder order, DicomLayout layout) {
    int pixels = layout.pixels();
    int samples = layout.samples();
    int size = layout.allocated() / 8;
    int firstByte = firstBit / 8;
    if (layout.halvedColors() && layout.columns() % 2 != 0) {
      throw new ImageException(
          "Corrupt DICOM file: %d columns in pairs of YBR_FULL_422".formatted(layout.columns()));
    }
    if (bytes.length * 8L < firstBit + layout.frameBits()) {
      throw new ImageException(
          "Corrupt DICOM file: %d bytes of a frame; %d are needed"
              .formatted(bytes.length, (layout.frameBits() + 7) / 8));
    }
    if (layout.real() > 0) {
      ByteBuffer values = ByteBuffer.wrap(bytes).order(order);
      double[] real = new double[pixels];
      for (int i = 0; i < pixels; i++) {
        real[i] =
            size == 4 ? values.getFloat(firstByte + 4 * i) : values.getDouble(firstByte + 8 * i);
      }
      return new DicomSamples(1, null, real, layout.photometric());
    }
    int[] whole = new int[pixels * samples];
    for (int i = 0; i < pixels; i++) {
      for (int c = 0; c < samples; c++) {
        int word;
        if (layout.allocated() == 1) {
          int bit = firstBit + i * samples + c;
          word = bytes[bit >> 3] >> (bit & 7) & 1;
        } else {
          word = word(bytes, firstByte + size * valueOf(i, c, layout), size, order);
        }
        whole[c * pixels + i] = layout.number(word);
      }
    }
    return new DicomSamples(samples, whole, null, layout.photometric());
  }

  /** Which of a frame's values belongs to a pixel's channel. */
  private static int valueOf(int pixel, int channel, DicomLayout layout) {
    if (layout.halvedColors()) {
      // Two brightnesses, then the two colors that they share.
      int pair = pixel / 2 * 4;
      return channel == 0 ? pair + pixel % 2 : pair + 1 + channel;
    }
    return layout.planar() ? channel * layout.pixels() + pixel : pixel * layout.samples() + channel;
  }

  private static int word(byte[] bytes, int at, int size, ByteOrder order) {
    int word = 0;
    for (int i = 0; i < size; i++) {
      int next = bytes[order == ByteOrder.BIG_ENDIAN ? at + i : at + size - 1 - i];
      word = word << 8 | next & 0xFF;
    }
    return word;
  }
}
