package io.github.flinkdiffusion.ops.image;

import java.util.OptionalDouble;

/**
 * How files are read.
 *
 * @param limits how large they may be
 * @param page which image of a file that has several, from 0: a page of a TIFF file, a frame of a
 *     DICOM file, an axial slice of a NIfTI volume
 * @param notFiniteAs the file's number to take where it holds infinity or what is not a number;
 *     empty if such a file is refused
 * @param patientData whether what a DICOM file says of a patient is put among the texts, and so
 *     into results
 */
public record ReadOptions(
    ImageLimits limits, int page, OptionalDouble notFiniteAs, boolean patientData) {
  /** Default limits, the first page, finite numbers only, no patient's data. */
  public static final ReadOptions DEFAULT =
      new ReadOptions(ImageLimits.DEFAULT, 0, OptionalDouble.empty(), false);

  public ReadOptions {
    if (page < 0) {
      throw new ImageException("Page %d of a file; pages count from 0".formatted(page));
    }
    if (notFiniteAs.isPresent() && !Double.isFinite(notFiniteAs.getAsDouble())) {
      throw new ImageException(
          "%s in place of numbers that are not finite; a finite one is needed"
              .formatted(notFiniteAs.getAsDouble()));
    }
  }

  public ReadOptions withLimits(ImageLimits other) {
    return new ReadOptions(other, page, notFiniteAs, patientData);
  }

  public ReadOptions withPage(int other) {
    return new ReadOptions(limits, other, notFiniteAs, patientData);
  }

  public ReadOptions replacingNotFinite(double value) {
    return new ReadOptions(limits, page, OptionalDouble.of(value), patientData);
  }

  public ReadOptions withPatientData() {
    return new ReadOptions(limits, page, notFiniteAs, true);
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
