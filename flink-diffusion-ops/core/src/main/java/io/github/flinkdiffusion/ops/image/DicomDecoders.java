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
      default ->
          throw new ImageException(
              "Damaged DICOM file: its pixels are in fragments, but its transfer syntax is %s"
                  .formatted(syntax.words()));
    };
  }
}
