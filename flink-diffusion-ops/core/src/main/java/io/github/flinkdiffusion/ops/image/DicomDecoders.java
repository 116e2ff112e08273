/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.ByteOrder;

/** From a frame's packed bytes to its stored values, as the transfer syntax says. */
final class DicomDecoders {
  private DicomDecoders() {}

  static DicomSamples decode(DicomSyntax syntax, byte[] packed, DicomLayout layout) {
    if (layout.real() > 0) {
      throw new ImageException(
          "A DICOM file of floating-point pixels in fragments; uncompressed ones are supported");
    }
    return switch (syntax) {
      case ENCAPSULATED -> DicomPixels.unpacked(packed, 0, ByteOrder.LITTLE_ENDIAN, layout);
      case RLE -> DicomRle.decode(packed, layout);
      case JPEG_BASELINE, JPEG_EXTENDED -> jpeg(packed, layout);
      case JPEG_LOSSLESS, JPEG_LOSSLESS_FIRST_ORDER ->
          whole(JpegDecoder.decode(packed, layout.columns(), layout.rows()), layout);
      case JPEG_LS, JPEG_LS_NEAR ->
          whole(JpegLsDecoder.decode(packed, layout.columns(), layout.rows()), layout);
      case JPEG_2000_LOSSLESS, JPEG_2000 ->
          jpeg2000(Jpeg2000Decoder.decode(packed, layout.columns(), layout.rows()), layout);
      default ->
          throw new ImageException(
              "Corrupt DICOM file: its pixels are in fragments, but its transfer syntax is %s"
                  .formatted(syntax.words()));
    };
  }

  private static DicomSamples jpeg(byte[] packed, DicomLayout layout) {
    JpegMarkers markers = JpegMarkers.read(packed);
    requireSize(markers.width(), markers.height(), markers.components(), layout);
    boolean plain = markers.precision() == 8 && markers.process() <= 0xC1;
    JpegDecoder.Image image =
        plain
            ? JpegBaseline.decode(packed, markers)
            : JpegDecoder.decode(packed, layout.columns(), layout.rows());
    DicomSamples samples = whole(image, layout);
    // What a JPEG file says of its colors counts more than what is written around it.
    return markers.inYcc().isPresent() && markers.components() == 3
        ? samples.withPhotometric(markers.inYcc().get() ? "YBR_FULL" : "RGB")
        : samples;
  }

  /** Colors come out as RGB if the codestream transformed them. */
  private static DicomSamples jpeg2000(Jpeg2000Decoder.Image image, DicomLayout layout) {
    requireSize(image.width(), image.height(), image.components(), layout);
    int[] planes = image.planes();
    if (layout.signed() != image.signed()) {
      // The codestream does not know what its bits mean; the file does.
      int shift = 32 - image.precision();
      for (int i = 0; i < planes.length; i++) {
        planes[i] = layout.signed() ? planes[i] << shift >> shift : planes[i] << shift >>> shift;
      }
    }
    return new DicomSamples(image.components(), planes, null, layout.photometric());
  }

  private static void requireSize(int width, int height, int components, DicomLayout layout) {
    if (width != layout.columns() || height != layout.rows() || components != layout.samples()) {
      throw new ImageException(
          ("Corrupt DICOM file: a packed frame is %d x %d pixels of %d samples, and said to be %d x"
                  + " %d of %d")
              .formatted(
                  width, height, components, layout.columns(), layout.rows(), layout.samples()));
    }
  }

  /** Values as they are packed; those of signed pixels lose their sign in the code. */
  private static DicomSamples whole(JpegDecoder.Image image, DicomLayout layout) {
    requireSize(image.width(), image.height(), image.components(), layout);
    if (image.precision() > layout.allocated()) {
      throw new ImageException(
          "Corrupt DICOM file: packed samples of %d bits, and said to take %d"
              .formatted(image.precision(), layout.allocated()));
    }
    int[] planes = image.planes();
    if (layout.signed()) {
      // Sixteen bits hold the sign whatever is stored of them.
      int shift = 32 - Math.min(layout.stored(), image.precision());
      for (int i = 0; i < planes.length; i++) {
        planes[i] = planes[i] << shift >> shift;
      }
    }
    return new DicomSamples(image.components(), planes, null, layout.photometric());
  }
}
