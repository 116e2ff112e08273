/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** What a TIFF file says of its picture besides the pixels. */
final class TiffMetadata {
  private static final long MAX_CARRIED_BYTES = 16 << 20;

  /** Tags that describe the layout of pixels or point to other directories. */
  private static final Set<Integer> NOT_CARRIED =
      Set.of(
          254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281,
          282, 283, 284, 288, 289, 290, 291, 292, 293, 296, 301, 317, 320, 321, 322, 323, 324, 325,
          330, 332, 334, 336, 338, 339, 340, 341, 342, 347, 512, 513, 514, 515, 517, 518, 519, 520,
          521, 529, 530, 531, 532, 33550, 33922, 34264, 34735, 34736, 34737, 34665, 34853, 40965,
          42112, 42113);

  private TiffMetadata() {}

  /**
   * @throws ImageException if its descriptive tags take too much memory
   */
  static ImageMetadata of(TiffDirectory directory) throws IOException {
    List<TiffTag> tags = new ArrayList<>();
    long bytes = 0;
    for (int number : directory.numbers()) {
      if (!NOT_CARRIED.contains(number)) {
        bytes += directory.bytesOf(number);
        if (bytes > MAX_CARRIED_BYTES) {
          throw new ImageException(
              "The TIFF file's descriptive tags have more than %d bytes, which are accepted"
                  .formatted(MAX_CARRIED_BYTES));
        }
        tags.add(directory.tag(number));
      }
    }
    return new ImageMetadata(
        Georeference.of(
            directory.numbers(Tiff.GEO_PIXEL_SCALE),
            directory.numbers(Tiff.GEO_TIEPOINTS),
            directory.numbers(Tiff.GEO_TRANSFORMATION),
            Georeference.integers(directory.numbers(Tiff.GEO_KEYS)),
            directory.numbers(Tiff.GEO_DOUBLES),
            directory.text(Tiff.GEO_ASCII)),
        spacing(directory),
        TiffTexts.parse(directory.text(Tiff.GDAL_METADATA)),
        tags);
  }

  private static Optional<PixelSpacing> spacing(TiffDirectory directory) throws IOException {
    double unit =
        switch (directory.integer(Tiff.RESOLUTION_UNIT, Tiff.INCH)) {
          case Tiff.INCH -> 25.4;
          case Tiff.CENTIMETRE -> 10;
          default -> Double.NaN;
        };
    List<Double> x = directory.numbers(Tiff.X_RESOLUTION);
    List<Double> y = directory.numbers(Tiff.Y_RESOLUTION);
    if (x.isEmpty() || y.isEmpty()) {
      return Optional.empty();
    }
    double spacingX = unit / x.get(0);
    double spacingY = unit / y.get(0);
    boolean known =
        spacingX > 0 && spacingY > 0 && Double.isFinite(spacingX) && Double.isFinite(spacingY);
    return known ? Optional.of(new PixelSpacing(spacingX, spacingY)) : Optional.empty();
  }
}
