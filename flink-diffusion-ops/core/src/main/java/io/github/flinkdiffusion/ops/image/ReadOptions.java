/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.OptionalDouble;
import org.apache.flink.annotation.Internal;

/**
 * How files are read.
 *
 * @param limits how large they may be
 * @param page which image of a file that has several, from 0: a page of a TIFF file, a frame of a
 *     DICOM file, a slice of a NIfTI file, whose volumes follow each other
 * @param plane which way volumes are cut into slices
 * @param notFiniteAs the file's number to take where it holds infinity or what is not a number;
 *     empty if such a file is refused
 * @param patientData whether what a DICOM file says of a patient is put among the texts, and so
 *     into results
 * @param rangeGiven whether the caller says what is black and white ({@link Raster#over}), so that
 *     what a medical file says of that is left out
 */
@Internal
public record ReadOptions(
    ImageLimits limits,
    int page,
    SlicePlane plane,
    OptionalDouble notFiniteAs,
    boolean patientData,
    boolean rangeGiven) {
  /** Default limits, the first page, axial slices, finite numbers only, no patient's data. */
  public static final ReadOptions DEFAULT =
      new ReadOptions(
          ImageLimits.DEFAULT, 0, SlicePlane.AXIAL, OptionalDouble.empty(), false, false);

  public ReadOptions {
    if (page < 0) {
      throw new ImageException("Page %d of a file; pages are counted from 0".formatted(page));
    }
    if (notFiniteAs.isPresent() && !Double.isFinite(notFiniteAs.getAsDouble())) {
      throw new ImageException(
          "%s in place of values that are not finite; a finite value is needed"
              .formatted(notFiniteAs.getAsDouble()));
    }
  }

  public ReadOptions withLimits(ImageLimits other) {
    return new ReadOptions(other, page, plane, notFiniteAs, patientData, rangeGiven);
  }

  public ReadOptions withPage(int other) {
    return new ReadOptions(limits, other, plane, notFiniteAs, patientData, rangeGiven);
  }

  public ReadOptions withPlane(SlicePlane other) {
    return new ReadOptions(limits, page, other, notFiniteAs, patientData, rangeGiven);
  }

  public ReadOptions replacingNotFinite(double value) {
    return new ReadOptions(limits, page, plane, OptionalDouble.of(value), patientData, rangeGiven);
  }

  public ReadOptions withRangeGiven() {
    return new ReadOptions(limits, page, plane, notFiniteAs, patientData, true);
  }

  public ReadOptions withPatientData() {
    return new ReadOptions(limits, page, plane, notFiniteAs, true, rangeGiven);
  }

  /** The number itself, or what stands in its place. */
  double finite(double value, String file) {
    if (Double.isFinite(value) && Math.abs(value) <= Float.MAX_VALUE) {
      return value;
    }
    return notFiniteAs.orElseThrow(
        () ->
            new ImageException(
                ("The %s file holds the value %s; finite numbers are accepted. Set"
                        + " diffusion.image.not-finite-as to the number to take instead")
                    .formatted(file, value)));
  }
}
