/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;

/**
 * Writes an image as a derived DICOM image of the modality of its source: with new UIDs, which
 * follow from the content, its own rescale, window, spacing and place, and references to what it
 * was made of. The same image gives the same bytes.
 */
final class DicomWriter {
  private static final String CR = "1.2.840.10008.5.1.4.1.1.1";
  private static final String CT = "1.2.840.10008.5.1.4.1.1.2";
  private static final String MR = "1.2.840.10008.5.1.4.1.1.4";
  private static final String SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7";

  private DicomWriter() {}

  static byte[] write(Raster image) {
    ImageMetadata metadata = image.metadata();
    boolean color = image.format().bands() == Bands.RGB;
    if (!color && image.format().bands() != Bands.GRAY) {
      throw new ImageException(
          "%s of %s cannot be a DICOM file, which holds gray or RGB"
              .formatted(image, image.format().bands()));
    }
    DicomElements elements = DicomHeader.of(metadata, "derived image");
    MedicalSource source = metadata.medical().orElseThrow();
    String classUid = color ? SECONDARY_CAPTURE : resultClass(source);
    if (classUid.equals(SECONDARY_CAPTURE)) {
      elements.text(0x00080064, "CS", "WSD");
      elements.text(0x00200020, "CS", "");
    }
    String[] type = source.attribute(0x00080008).split("\\\\");
    elements.text(
        0x00080008,
        "CS",
        "DERIVED\\SECONDARY" + (type.length > 2 ? "\\" + type[2].strip() : "\\OTHER"));
    if (!source.identified() && source.attribute(DicomHeader.BURNED_IN).equals("YES")) {
      // Only the attributes are free of it; that alone is not what YES means.
      elements.text(DicomHeader.IDENTITY_REMOVED, "CS", "NO");
      DicomHeader.REMOVAL.forEach(elements::without);
    }
    elements.text(
        0x00082111, "ST", "Made by a diffusion model; see the audit record in 0099,1001.");
    if (!source.attribute(DicomHeader.CLASS).isEmpty()) {
      elements.items(
          0x00082112, DicomHeader.reference(source, source.attribute(DicomHeader.CLASS)));
      elements.code(0x00089215, "113087", "DCM", "Enhancement");
    }
    if (source.attribute(0x00080060).isEmpty()) {
      elements.text(0x00080060, "CS", "OT");
    }
    for (int tag : expected(classUid)) {
      // Of a part of the body that is said, the side is not asked for.
      boolean side = tag == 0x00200060 && !source.attribute(0x00180015).isEmpty();
      if (source.attribute(tag).isEmpty() && !side) {
        elements.text(tag, DicomHeader.KEPT.get(tag), "");
      }
    }
    place(elements, source);
    metadata
        .spacing()
        .ifPresent(size -> elements.decimals(DicomTag.PIXEL_SPACING, size.y(), size.x()));
    elements.shorts(DicomTag.ROWS, "US", image.height());
    elements.shorts(DicomTag.COLUMNS, "US", image.width());
    if (image.height() > 0xFFFF || image.width() > 0xFFFF) {
      throw new ImageException(image + " is too large for a DICOM file, whose sides are 65535");
    }
    if (color) {
      color(elements, image);
    } else {
      gray(elements, image, classUid);
    }
    String instance = elements.digest();
    elements.text(DicomHeader.CLASS, "UI", classUid);
    elements.text(DicomHeader.INSTANCE, "UI", instance);
    return elements.file(classUid, instance);
  }

  /** Of one frame, so an enhanced image's is that of the plain one; what is unknown is captured. */
  private static String resultClass(MedicalSource medical) {
    String source = medical.attribute(DicomHeader.CLASS);
    return switch (source) {
      case "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1" -> CT;
      case "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1" ->
          medical.attribute(0x00180020).isEmpty() || medical.attribute(0x00180021).isEmpty()
              ? SECONDARY_CAPTURE
              : MR;
      case CR -> source;
      default -> SECONDARY_CAPTURE;
    };
  }

  /** What files of a class have to have, if without a value. */
  private static List<Integer> expected(String classUid) {
    return switch (classUid) {
      case CT -> List.of(0x00180050, 0x00180060, 0x00200012, 0x00200060);
      case MR ->
          List.of(
              0x00180022, 0x00180023, 0x00180050, 0x00180080, 0x00180081, 0x00180091, 0x00200060);
      case CR -> List.of(0x00180015, 0x00185101, 0x00200060);
      default -> List.of(0x00200060);
    };
  }

  private static void place(DicomElements elements, MedicalSource source) {
    source
        .place()
        .ifPresent(
            place -> {
              elements.decimals(0x00200032, vector(place.position()));
              elements.decimals(
                  0x00200037,
                  place.alongRow().x(),
                  place.alongRow().y(),
                  place.alongRow().z(),
                  place.alongColumn().x(),
                  place.alongColumn().y(),
                  place.alongColumn().z());
            });
  }

  static double[] vector(SlicePlace.Vector vector) {
    return new double[] {vector.x(), vector.y(), vector.z()};
  }

  private static void color(DicomElements elements, Raster image) {
    int pixels = image.width() * image.height();
    byte[] bytes = new byte[3 * pixels + 1 & ~1];
    for (int i = 0; i < 3 * pixels; i++) {
      // What the file's numbers are, a screen has 256 of.
      double unit = Math.max(0, Math.min(1, image.data()[i % 3 * pixels + i / 3]));
      bytes[i] = (byte) Math.rint(255 * unit);
    }
    layout(elements, 3, "RGB", 8, false);
    elements.shorts(DicomTag.PLANAR, "US", 0);
    elements.bytes(DicomTag.PIXELS, "OB", bytes);
  }

  private static void layout(
      DicomElements elements, int samples, String photometric, int bits, boolean signed) {
    elements.shorts(DicomTag.SAMPLES, "US", samples);
    elements.text(DicomTag.PHOTOMETRIC, "CS", photometric);
    elements.shorts(DicomTag.BITS_ALLOCATED, "US", bits);
    elements.shorts(DicomTag.BITS_STORED, "US", bits);
    elements.shorts(DicomTag.HIGH_BIT, "US", bits - 1);
    elements.shorts(DicomTag.SIGNED, "US", signed ? 1 : 0);
  }

  /** Whole numbers as they are; others in 65,535 steps from the least to the largest. */
  private static void gray(DicomElements elements, Raster image, String classUid) {
    PixelFormat format = image.format();
    int pixels = image.width() * image.height();
    boolean whole = format.type().isInteger();
    double slope = 1;
    double intercept = 0;
    // One number is kept for what holds no data.
    int padding = 0;
    boolean lacks = image.noData().isPresent();
    if (!whole) {
      double low = Double.POSITIVE_INFINITY;
      double high = Double.NEGATIVE_INFINITY;
      for (int i = 0; i < pixels; i++) {
        if (!lacks || !image.noData().get().isMissing(i)) {
          double value = format.sample(image.data()[i]);
          low = Math.min(low, value);
          high = Math.max(high, value);
        }
      }
      if (!(low <= high)) {
        low = 0;
        high = 0;
      }
      slope = high > low ? Double.parseDouble(DicomElements.decimal((high - low) / 65_534)) : 1;
      intercept = Double.parseDouble(DicomElements.decimal(low - slope));
    } else if (format.noData().isPresent()) {
      padding = (int) format.noDataSample();
    }
    boolean signed = format.type() == SampleType.INT16;
    ByteBuffer bytes = ByteBuffer.allocate(2 * pixels).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < pixels; i++) {
      boolean missing = lacks && image.noData().get().isMissing(i);
      double value = format.sample(image.data()[i]);
      double stored = whole ? value : Math.rint((value - intercept) / slope);
      bytes.putShort(
          (short) (missing ? padding : (int) Math.max(-32768, Math.min(65_535, stored))));
    }
    ValueRange range = format.range();
    boolean inverted = range.descending();
    layout(elements, 1, inverted ? "MONOCHROME1" : "MONOCHROME2", 16, signed);
    elements.decimals(DicomTag.INTERCEPT, intercept);
    elements.decimals(DicomTag.SLOPE, slope);
    if (!classUid.equals(CT)) {
      elements.text(0x00281054, "LO", "US");
    }
    double low = Math.min(range.low(), range.high());
    double high = Math.max(range.low(), range.high());
    elements.decimals(DicomTag.WINDOW_CENTER, (low + high) / 2);
    elements.decimals(DicomTag.WINDOW_WIDTH, high - low);
    elements.text(DicomTag.WINDOW_FUNCTION, "CS", "LINEAR_EXACT");
    if (lacks) {
      elements.shorts(DicomTag.PADDING, signed ? "SS" : "US", padding);
    }
    elements.bytes(DicomTag.PIXELS, "OW", bytes.array());
  }
}
