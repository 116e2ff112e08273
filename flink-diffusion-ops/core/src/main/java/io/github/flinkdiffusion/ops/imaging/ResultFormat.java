package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SampleType;

/** The kind of file that results are written as. */
public enum ResultFormat {
  /**
   * As TIFF what PNG can not hold: floats, signed numbers, more than four bands, a place on Earth;
   * else PNG.
   */
  AUTO,
  PNG,
  TIFF;

  static final String PNG_TYPE = "image/png";
  static final String TIFF_TYPE = "image/tiff";

  /** The media type of such a file of a picture. */
  String mediaTypeOf(Raster picture, boolean sourceIsTiff) {
    return switch (this) {
      case PNG -> PNG_TYPE;
      case TIFF -> TIFF_TYPE;
      case AUTO ->
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
