/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.ByteBuffer;
import java.util.List;

/**
 * A table of a DICOM file that gives numbers for numbers. What is below or above its inputs gets
 * its first or last entry.
 *
 * @param firstInput the number that the first entry is for
 * @param bits that an entry has
 */
record DicomLut(int firstInput, int bits, int[] entries) {
  private static final int MOST_ENTRIES = 1 << 16;

  /** A modality or VOI table, an item of its sequence. */
  static DicomLut of(DicomDataSet item, boolean signedInputs) {
    return of(item, DicomTag.LUT_DESCRIPTOR, DicomTag.LUT_DATA, signedInputs);
  }

  /** A palette's red (0), green (1) or blue (2). */
  static DicomLut palette(DicomDataSet set, int color, boolean signedInputs) {
    return set.has(DicomTag.PALETTE_DATA + color)
            || !set.has(DicomTag.SEGMENTED_PALETTE_DATA + color)
        ? of(set, DicomTag.PALETTE_DESCRIPTOR + color, DicomTag.PALETTE_DATA + color, signedInputs)
        : segmented(set, color, signedInputs);
  }

  private record Descriptor(int entries, int firstInput, int bits) {
    static Descriptor of(DicomDataSet set, int tag, boolean signed) {
      List<Integer> numbers = set.integers(tag, false);
      if (numbers.size() != 3 || numbers.get(2) < 1 || numbers.get(2) > 16) {
        throw new ImageException(
            ("Corrupt DICOM file: %08X says %s of a table; three numbers are expected, the last"
                    + " from 1 to 16")
                .formatted(tag, numbers));
      }
      int entries = numbers.get(0) == 0 ? MOST_ENTRIES : numbers.get(0);
      int first = signed ? (short) (int) numbers.get(1) : numbers.get(1);
      return new Descriptor(entries, first, numbers.get(2));
    }
  }

  private static DicomLut of(
      DicomDataSet set, int descriptorTag, int dataTag, boolean signedInputs) {
    Descriptor descriptor = Descriptor.of(set, descriptorTag, signedInputs);
    byte[] data =
        set.element(dataTag).map(e -> set.bytes(e, 2 * MOST_ENTRIES + 2)).orElse(new byte[0]);
    int count = descriptor.entries();
    int[] entries = new int[count];
    ByteBuffer values = ByteBuffer.wrap(data).order(set.encoding().order());
    // Entries of 8 bits stand in bytes or in words.
    if (data.length >= 2 * count) {
      for (int i = 0; i < count; i++) {
        entries[i] = values.getShort(2 * i) & 0xFFFF;
      }
    } else if (data.length >= count && descriptor.bits() <= 8) {
      boolean swapped =
          set.encoding() == DicomDataSet.Encoding.EXPLICIT_BIG
              && set.element(dataTag).orElseThrow().type().equals("OW");
      for (int i = 0; i < count; i++) {
        entries[i] = data[swapped ? Math.min(i ^ 1, data.length - 1) : i] & 0xFF;
      }
    } else {
      throw new ImageException(
          "Corrupt DICOM file: %08X has %d bytes for a table of %d entries"
              .formatted(dataTag, data.length, count));
    }
    return new DicomLut(descriptor.firstInput(), descriptor.bits(), entries);
  }

  /** PS3.3, C.7.9.2: stretches of given entries (0), of a straight line (1), or repeated (2). */
  private static DicomLut segmented(DicomDataSet set, int color, boolean signedInputs) {
    Descriptor descriptor = Descriptor.of(set, DicomTag.PALETTE_DESCRIPTOR + color, signedInputs);
    int tag = DicomTag.SEGMENTED_PALETTE_DATA + color;
    byte[] data = set.bytes(set.element(tag).orElseThrow(), 2 * MOST_ENTRIES + 2);
    int size = descriptor.bits() > 8 ? 2 : 1;
    ByteBuffer bytes = ByteBuffer.wrap(data).order(set.encoding().order());
    int[] words = new int[data.length / size];
    for (int i = 0; i < words.length; i++) {
      words[i] = size == 2 ? bytes.getShort(2 * i) & 0xFFFF : data[i] & 0xFF;
    }
    int[] entries = new int[descriptor.entries()];
    int filled = segments(words, 0, Integer.MAX_VALUE, entries, 0, size, true, tag);
    if (filled != entries.length) {
      throw new ImageException(
          "Corrupt DICOM file: %08X gives %d entries of a table of %d"
              .formatted(tag, filled, entries.length));
    }
    return new DicomLut(descriptor.firstInput(), descriptor.bits(), entries);
  }

  private static int segments(
      int[] words,
      int from,
      int most,
      int[] entries,
      int filled,
      int size,
      boolean mayRepeat,
      int tag) {
    int at = from;
    for (int segment = 0;
        segment < most && at + 2 <= words.length && filled < entries.length;
        segment++) {
      int kind = words[at];
      int count = words[at + 1];
      boolean fits = true;
      switch (kind) {
        case 0 -> {
          fits = count <= entries.length - filled && count <= words.length - at - 2;
          if (fits) {
            System.arraycopy(words, at + 2, entries, filled, count);
            filled += count;
            at += 2 + count;
          }
        }
        case 1 -> {
          fits = filled > 0 && count <= entries.length - filled && at + 3 <= words.length;
          if (fits) {
            int before = entries[filled - 1];
            double step = (words[at + 2] - before) / (double) count;
            for (int i = 1; i <= count; i++) {
              entries[filled++] = (int) Math.rint(before + step * i);
            }
            at += 3;
          }
        }
        case 2 -> {
          int width = size == 2 ? 2 : 4;
          fits = mayRepeat && at + 2 + width <= words.length;
          if (fits) {
            long offset = 0;
            for (int i = width - 1; i >= 0; i--) {
              offset = offset << (8 * size) | words[at + 2 + i];
            }
            fits = offset / size < at && offset >= 0;
            if (fits) {
              filled =
                  segments(words, (int) (offset / size), count, entries, filled, size, false, tag);
              at += 2 + width;
            }
          }
        }
        default -> fits = false;
      }
      if (!fits) {
        throw new ImageException(
            "Corrupt DICOM file: %08X has a segment of kind %d and length %d at %d"
                .formatted(tag, kind, count, at * size));
      }
    }
    return filled;
  }

  int entry(double input) {
    long index = (long) Math.floor(input) - firstInput;
    return entries[(int) Math.max(0, Math.min(entries.length - 1L, index))];
  }

  int highest() {
    return (1 << bits) - 1;
  }
}
