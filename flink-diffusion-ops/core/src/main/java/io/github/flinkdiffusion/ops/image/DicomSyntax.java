/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.stream.Collectors;

/** Transfer syntaxes: how a DICOM file's elements and pixels are written (PS3.5, annex A). */
enum DicomSyntax {
  IMPLICIT_LITTLE("1.2.840.10008.1.2", "implicit little endian"),
  EXPLICIT_LITTLE("1.2.840.10008.1.2.1", "explicit little endian"),
  ENCAPSULATED("1.2.840.10008.1.2.1.98", "uncompressed in fragments"),
  DEFLATED("1.2.840.10008.1.2.1.99", "deflated"),
  EXPLICIT_BIG("1.2.840.10008.1.2.2", "explicit big endian"),
  RLE("1.2.840.10008.1.2.5", "RLE"),
  JPEG_BASELINE("1.2.840.10008.1.2.4.50", "JPEG baseline"),
  JPEG_EXTENDED("1.2.840.10008.1.2.4.51", "JPEG extended"),
  JPEG_LOSSLESS("1.2.840.10008.1.2.4.57", "JPEG lossless"),
  JPEG_LOSSLESS_FIRST_ORDER("1.2.840.10008.1.2.4.70", "JPEG lossless, first-order prediction"),
  JPEG_LS("1.2.840.10008.1.2.4.80", "JPEG-LS lossless"),
  JPEG_LS_NEAR("1.2.840.10008.1.2.4.81", "JPEG-LS near-lossless"),
  JPEG_2000_LOSSLESS("1.2.840.10008.1.2.4.90", "JPEG 2000 lossless"),
  JPEG_2000("1.2.840.10008.1.2.4.91", "JPEG 2000");

  private final String uid;
  private final String words;

  DicomSyntax(String uid, String words) {
    this.uid = uid;
    this.words = words;
  }

  /**
   * @throws ImageException for one that is not read, naming those that are
   */
  static DicomSyntax of(String uid) {
    return Arrays.stream(values())
        .filter(syntax -> syntax.uid.equals(uid))
        .findFirst()
        .orElseThrow(
            () ->
                new ImageException(
                    "A DICOM file with transfer syntax '%s'; %s are supported"
                        .formatted(
                            uid,
                            Arrays.stream(values())
                                .map(syntax -> syntax.words + " (" + syntax.uid + ")")
                                .collect(Collectors.joining(", ")))));
  }

  /** The syntax of a file that does not say it, seen in its first element (PS3.10, 7.1). */
  static DicomSyntax guessed(DicomSource source, long at) {
    source.require(at, 8);
    byte[] type = source.bytes(at + 4, 2);
    boolean explicit = type[0] >= 'A' && type[0] <= 'Z' && type[1] >= 'A' && type[1] <= 'Z';
    // Of a group that comes first, one byte is 0.
    boolean big = explicit && source.unsignedShort(at, ByteOrder.LITTLE_ENDIAN) > 0xFF;
    return big ? EXPLICIT_BIG : explicit ? EXPLICIT_LITTLE : IMPLICIT_LITTLE;
  }

  String words() {
    return words;
  }

  DicomDataSet.Encoding encoding() {
    return switch (this) {
      case IMPLICIT_LITTLE -> DicomDataSet.Encoding.IMPLICIT_LITTLE;
      case EXPLICIT_BIG -> DicomDataSet.Encoding.EXPLICIT_BIG;
      default -> DicomDataSet.Encoding.EXPLICIT_LITTLE;
    };
  }

  boolean inFragments() {
    return switch (this) {
      case IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED -> false;
      default -> true;
    };
  }
}
