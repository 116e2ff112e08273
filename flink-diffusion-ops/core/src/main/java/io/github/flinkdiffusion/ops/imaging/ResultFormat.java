/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SampleType;
import org.apache.flink.annotation.PublicEvolving;
import org.jspecify.annotations.NullMarked;

/** The kind of file that results are written as. */
@NullMarked
@PublicEvolving
public enum ResultFormat {
  /**
   * As TIFF what PNG cannot hold: floats, signed numbers, more than four bands, a place on Earth;
   * else PNG.
   */
  AUTO,
  /** PNG, 8 or 16 bits: whatever the source was. */
  PNG,
  /** TIFF, as Cloud Optimized GeoTIFF where the image has a place on Earth. */
  TIFF,
  /**
   * As JPEG what it holds: images of 8 bits, gray or in color, that hold data everywhere. Masks,
   * uncertainties and all others as with {@link #AUTO}.
   */
  JPEG,
  /**
   * DICOM: images derived from the source's, and segmentations (DICOM SEG). Only for sources that
   * are DICOM or NIfTI files.
   */
  DICOM,
  /** NIfTI: volumes of one slice, in the source's place. */
  NIFTI;

  static final String PNG_TYPE = "image/png";
  static final String JPEG_TYPE = "image/jpeg";
  static final String TIFF_TYPE = "image/tiff";
  static final String DICOM_TYPE = "application/dicom";
  static final String NIFTI_TYPE = "application/x-nifti";

  /** The media type of the file of an answer. */
  String mediaTypeOf(Raster picture, boolean sourceIsTiff) {
    boolean jpeg =
        this == JPEG
            && (picture.channels() == 1 || picture.channels() == 3)
            && picture.format().type() == SampleType.UINT8
            && picture.noData().isEmpty()
            && picture.metadata().georeference().isEmpty();
    return jpeg ? JPEG_TYPE : losslessTypeOf(picture, sourceIsTiff);
  }

  /** The media type of a file in which each number is what it says, such as a mask. */
  String losslessTypeOf(Raster picture, boolean sourceIsTiff) {
    return switch (this) {
      case PNG -> PNG_TYPE;
      case TIFF -> TIFF_TYPE;
      case DICOM -> DICOM_TYPE;
      case NIFTI -> NIFTI_TYPE;
      case AUTO, JPEG ->
          sourceIsTiff
                  || picture.channels() > 4
                  || picture.format().type() == SampleType.FLOAT32
                  || picture.format().type() == SampleType.INT16
                  || picture.metadata().georeference().isPresent()
              ? TIFF_TYPE
              : PNG_TYPE;
    };
  }
}
