/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.Optional;
import java.util.OptionalInt;
import org.apache.flink.annotation.Internal;

/**
 * What a DICOM file says of the series that it is one image of.
 *
 * @param series the series' UID
 * @param instance the image's UID
 * @param frameOfReference what its place is counted from; empty if the file does not say it
 * @param columns in pixels
 * @param rows in pixels
 * @param color whether its pixels have colors
 * @param frames of the file
 * @param expected images of the series, if the file says it (ImagesInAcquisition)
 * @param spacing of the pixels
 * @param place in the patient
 */
@Internal
public record DicomSlice(
    String series,
    String instance,
    String frameOfReference,
    int columns,
    int rows,
    boolean color,
    int frames,
    OptionalInt expected,
    Optional<PixelSpacing> spacing,
    Optional<SlicePlace> place) {
  private static final int IMAGES_IN_ACQUISITION = 0x00201002;
  private static final int MOST_EXPECTED = 1 << 20;

  /**
   * Reads a file's header, not its pixels.
   *
   * @throws ImageException if it is no DICOM file, or does not say which series it is of
   */
  public static DicomSlice of(byte[] file) {
    if (ImageKind.of(file).filter(ImageKind.DICOM::equals).isEmpty()) {
      throw new ImageException("Not a DICOM file; a series is gathered from DICOM files");
    }
    return of(DicomFile.open(DicomSource.of(file), ImageLimits.DEFAULT.maxBytes() / 4));
  }

  private static DicomSlice of(DicomFile file) {
    DicomDataSet set = file.set();
    Optional<Double> expected = set.decimal(IMAGES_IN_ACQUISITION, 0);
    boolean count =
        expected.isPresent()
            && expected.get() >= 1
            && expected.get() <= MOST_EXPECTED
            && expected.get() == Math.rint(expected.get());
    return new DicomSlice(
        required(set, DicomHeader.SERIES, "SeriesInstanceUID"),
        required(set, DicomHeader.INSTANCE, "SOPInstanceUID"),
        set.text(DicomHeader.FRAME_OF_REFERENCE).orElse(""),
        file.layout().columns(),
        file.layout().rows(),
        !file.layout().photometric().startsWith("MONOCHROME"),
        file.layout().frames(),
        count ? OptionalInt.of(expected.get().intValue()) : OptionalInt.empty(),
        file.spacing(0),
        file.place(0));
  }

  private static String required(DicomDataSet set, int tag, String name) {
    String text = set.text(tag).orElse("");
    if (text.isEmpty() || text.length() > 64) {
      throw new ImageException(
          "The DICOM file has no %s, by which its series is gathered".formatted(name));
    }
    return text;
  }
}
