/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * Pixels in fragments (PS3.5, annex A.4): where each frame's are. A frame may have several; which
 * belong together is said by a table of offsets, or seen in how the fragments begin.
 */
final class DicomFragments {
  private static final int MAX_FRAGMENTS = 1 << 20;

  private final DicomSource source;
  private final long[] at;
  private final long[] lengths;

  /** The first fragment of each frame, and behind the last one their number. */
  private final int[] first;

  private DicomFragments(DicomSource source, long[] at, long[] lengths, int[] first) {
    this.source = source;
    this.at = at;
    this.lengths = lengths;
    this.first = first;
  }

  static DicomFragments of(DicomDataSet set, DicomDataSet.Element pixels, int frames) {
    DicomSource source = set.source();
    long[] at = new long[16];
    long[] lengths = new long[16];
    int count = -1; // the first item is the table
    long tableAt = 0;
    long tableBytes = 0;
    long place = pixels.at();
    // Some programs leave out the end mark.
    while (source.size() - place >= 8) {
      int tag =
          source.unsignedShort(place, ByteOrder.LITTLE_ENDIAN) << 16
              | source.unsignedShort(place + 2, ByteOrder.LITTLE_ENDIAN);
      long length = source.integer(place + 4, ByteOrder.LITTLE_ENDIAN) & 0xFFFFFFFFL;
      if (tag == DicomTag.SEQUENCE_END) {
        break;
      }
      if (tag != DicomTag.ITEM) {
        throw new ImageException(
            "Corrupt DICOM file: %08X among its pixels' fragments".formatted(tag));
      }
      place += 8;
      source.require(place, length);
      if (count < 0) {
        tableAt = place;
        tableBytes = length;
      } else {
        if (count == MAX_FRAGMENTS) {
          throw new ImageException(
              "The DICOM file's pixels are in more than %d fragments, which are accepted"
                  .formatted(MAX_FRAGMENTS));
        }
        if (count == at.length) {
          at = Arrays.copyOf(at, 2 * count);
          lengths = Arrays.copyOf(lengths, 2 * count);
        }
        at[count] = place;
        lengths[count] = length;
      }
      count++;
      place += length;
    }
    if (count < 1) {
      throw new ImageException("Corrupt DICOM file: its pixels have no fragments");
    }
    at = Arrays.copyOf(at, count);
    lengths = Arrays.copyOf(lengths, count);
    return new DicomFragments(source, at, lengths, firsts(set, at, frames, tableAt, tableBytes));
  }

  private static int[] firsts(
      DicomDataSet set, long[] at, int frames, long tableAt, long tableBytes) {
    int[] first = new int[frames + 1];
    first[frames] = at.length;
    if (frames == 1) {
      return first;
    }
    if (at.length == frames) {
      Arrays.setAll(first, i -> i);
      return first;
    }
    DicomSource source = set.source();
    DicomDataSet.Element extended = set.element(DicomTag.EXTENDED_OFFSETS).orElse(null);
    int size = extended != null ? 8 : 4;
    byte[] table =
        extended != null
            ? set.bytes(extended, 8 * MAX_FRAGMENTS)
            : source.bytes(tableAt, (int) Math.min(tableBytes, 4L * MAX_FRAGMENTS));
    if (table.length >= (long) size * frames) {
      ByteBuffer offsets = ByteBuffer.wrap(table).order(ByteOrder.LITTLE_ENDIAN);
      for (int i = 0; i < frames; i++) {
        long offset = size == 8 ? offsets.getLong(8 * i) : offsets.getInt(4 * i) & 0xFFFFFFFFL;
        // Offsets count from the first fragment's mark.
        int fragment = Arrays.binarySearch(at, at[0] + offset);
        if (fragment < 0 || i == 0 && fragment != 0 || i > 0 && fragment <= first[i - 1]) {
          throw new ImageException(
              "Corrupt DICOM file: frame %d is said to begin at %d, where no fragment does"
                  .formatted(i, offset));
        }
        first[i] = fragment;
      }
      return first;
    }
    int found = 0;
    for (int i = 0; i < at.length; i++) {
      if (source.size() - at[i] >= 2 && begins(source.unsignedShort(at[i], ByteOrder.BIG_ENDIAN))) {
        if (found < frames) {
          first[found] = i;
        }
        found++;
      }
    }
    if (found != frames || first[0] != 0) {
      throw new ImageException(
          ("The DICOM file's %d fragments are not told apart into %d frames: there is no table of"
                  + " offsets, and %d of them begin as a frame does")
              .formatted(at.length, frames, found));
    }
    return first;
  }

  /** Whether these are the first bytes of a JPEG, JPEG-LS or JPEG 2000 frame. */
  private static boolean begins(int mark) {
    return mark == 0xFFD8 || mark == 0xFF4F;
  }

  /** A frame's bytes, of all its fragments. */
  byte[] frame(int index, long most) {
    long bytes = 0;
    for (int i = first[index]; i < first[index + 1]; i++) {
      bytes += lengths[i];
    }
    if (bytes > most || bytes > Integer.MAX_VALUE - 16) {
      throw new ImageException(
          "Frame %d of the DICOM file takes %d packed bytes; at most %d are accepted for its size"
              .formatted(index, bytes, most));
    }
    byte[] frame = new byte[(int) bytes];
    int filled = 0;
    for (int i = first[index]; i < first[index + 1]; i++) {
      byte[] part = source.bytes(at[i], (int) lengths[i]);
      System.arraycopy(part, 0, frame, filled, part.length);
      filled += part.length;
    }
    return frame;
  }
}
