/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

/**
 * How the pixels of a DICOM file are stored (PS3.3, C.7.6.3).
 *
 * @param samples values of a pixel: 1, or 3 in color
 * @param allocated bits that a value takes
 * @param stored bits of them that are the value
 * @param highBit the value's uppermost bit, counted from 0
 * @param planar whether all values of a color stand together
 * @param photometric what values mean, such as MONOCHROME2
 * @param real 0 for whole numbers, else how many bits a floating-point number has
 */
record DicomLayout(
    int rows,
    int columns,
    int samples,
    int frames,
    int allocated,
    int stored,
    int highBit,
    boolean signed,
    boolean planar,
    String photometric,
    int real) {

  /** More frames than any device records. */
  private static final int MAX_FRAMES = 1 << 20;

  static DicomLayout of(DicomDataSet set) {
    int real = set.has(DicomTag.FLOAT_PIXELS) ? 32 : set.has(DicomTag.DOUBLE_PIXELS) ? 64 : 0;
    int allocated = real > 0 ? real : set.integer(DicomTag.BITS_ALLOCATED, 0);
    int stored = real > 0 ? real : set.integer(DicomTag.BITS_STORED, allocated);
    double frames = set.has(DicomTag.FRAMES) ? set.decimal(DicomTag.FRAMES, 0).orElse(1.0) : 1;
    int rows = set.integer(DicomTag.ROWS, 0);
    int columns = set.integer(DicomTag.COLUMNS, 0);
    if (rows < 1 || columns < 1) {
      throw new ImageException(
          "Corrupt DICOM file: it says that it is %d x %d pixels".formatted(columns, rows));
    }
    if (frames < 1 || frames > MAX_FRAMES || frames != Math.rint(frames)) {
      throw new ImageException(
          "Corrupt DICOM file: it says that it has %s frames; 1 to %d are accepted"
              .formatted(frames, MAX_FRAMES));
    }
    DicomLayout layout =
        new DicomLayout(
            rows,
            columns,
            set.integer(DicomTag.SAMPLES, 1),
            (int) frames,
            allocated,
            stored,
            real > 0 ? real - 1 : set.integer(DicomTag.HIGH_BIT, stored - 1),
            set.integer(DicomTag.SIGNED, 0) == 1,
            set.integer(DicomTag.PLANAR, 0) == 1,
            set.text(DicomTag.PHOTOMETRIC).filter(t -> !t.isEmpty()).orElse("MONOCHROME2"),
            real);
    layout.requireSupported();
    return layout;
  }

  private void requireSupported() {
    boolean colors =
        switch (photometric) {
          case "MONOCHROME1", "MONOCHROME2" -> samples == 1;
          case "PALETTE COLOR" -> samples == 1 && real == 0 && stored <= 16;
          case "RGB" -> samples == 3 && real == 0 && !signed;
          case "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT" ->
              samples == 3 && real == 0 && !signed && stored <= 16;
          default -> false;
        };
    boolean bits =
        real > 0
            || (allocated == 1
                    || allocated == 8
                    || allocated == 16
                    || allocated == 24
                    || allocated == 32)
                && stored >= 1
                && highBit >= stored - 1
                && highBit < allocated;
    if (!colors || !bits) {
      throw new ImageException(
          ("A DICOM file of %d samples, %s, %d of %d bits up to bit %d, %s; gray (MONOCHROME1 or"
                  + " 2), palettes and unsigned color (RGB, YBR_FULL, YBR_FULL_422, YBR_ICT,"
                  + " YBR_RCT) are supported; palettes and YBR have up to 16 bits, and whole numbers"
                  + " take 1, 8, 16, 24 or 32")
              .formatted(
                  samples,
                  photometric,
                  stored,
                  allocated,
                  highBit,
                  signed ? "signed" : "unsigned"));
    }
  }

  int pixels() {
    return Math.multiplyExact(rows, columns);
  }

  /** Whether two pixels of a row share their colors. */
  boolean halvedColors() {
    return photometric.equals("YBR_FULL_422");
  }

  /** Bits of an uncompressed frame. */
  long frameBits() {
    long values = (long) rows * columns * (halvedColors() ? 2 : samples);
    return values * allocated;
  }

  /** The number that some stored bits are. */
  int number(int word) {
    int left = 31 - highBit;
    int right = 32 - stored;
    return signed ? word << left >> right : word << left >>> right;
  }

  /** The least number that is stored. */
  double lowest() {
    return signed ? -Math.pow(2, stored - 1) : 0;
  }

  double highest() {
    return Math.pow(2, signed ? stored - 1 : stored) - 1;
  }
}
