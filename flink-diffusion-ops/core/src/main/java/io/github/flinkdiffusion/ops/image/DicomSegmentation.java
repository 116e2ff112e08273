package io.github.flinkdiffusion.ops.image;

import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Writes what was found in an image as a DICOM segmentation (PS3.3, A.51): a frame for each
 * segment, either of bits or of shares of 255, in the place of the image.
 *
 * <p>A segment's label may name its code: {@code Liver (10200004, SCT)}. Without one, the label
 * itself is the code, of this project's own scheme.
 */
public final class DicomSegmentation {
  private static final String SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4";
  private static final Set<Integer> NEEDED = Set.of(0x00080060, 0x00200013, 0x00201040, 0x00282110);
  private static final Pattern CODED =
      Pattern.compile("(.{1,64}?)\\s*\\(([^,()]{1,16}),\\s*([^,()]{1,16})\\)");

  /**
   * Something that was found.
   *
   * @param label its name, perhaps with a code
   * @param shares how much of each pixel is in it, from 0 to 1, row by row
   */
  public record Segment(String label, float[] shares) {}

  private DicomSegmentation() {}

  /**
   * Segments as bits: a pixel is in one with a share of a half and more.
   *
   * @param metadata of an image of that size
   * @throws ImageException if the image came from no medical file
   */
  public static byte[] binary(
      int width, int height, List<Segment> segments, ImageMetadata metadata) {
    return file(width, height, segments, metadata, false);
  }

  /** Segments as shares, which are how likely a pixel is in them. */
  public static byte[] fractional(
      int width, int height, List<Segment> segments, ImageMetadata metadata) {
    return file(width, height, segments, metadata, true);
  }

  private static byte[] file(
      int width, int height, List<Segment> segments, ImageMetadata metadata, boolean fractional) {
    if (segments.isEmpty() || width > 0xFFFF || height > 0xFFFF) {
      throw new ImageException(
          "A DICOM segmentation of %d segments of %d x %d pixels; it has at least one, and sides of at most 65535"
              .formatted(segments.size(), width, height));
    }
    DicomElements elements =
        DicomHeader.of(metadata, fractional ? "fractional segmentation" : "segmentation");
    MedicalSource source = metadata.medical().orElseThrow();
    elements.text(0x00080060, "CS", "SEG");
    elements.text(0x00080008, "CS", "DERIVED\\PRIMARY");
    elements.text(0x00200011, "IS", "1");
    elements.text(0x00700080, "CS", fractional ? "PROBABILITY" : "SEGMENTATION");
    elements.text(0x00700081, "LO", "Made by a diffusion model");
    elements.text(0x00700084, "PN", "");
    elements.text(0x00282110, "CS", "00");
    elements.text(0x00620001, "CS", fractional ? "FRACTIONAL" : "BINARY");
    if (fractional) {
      elements.text(0x00620010, "CS", "PROBABILITY");
      elements.shorts(0x0062000E, "US", 255);
    }
    int bits = fractional ? 8 : 1;
    elements.shorts(DicomTag.SAMPLES, "US", 1);
    elements.text(DicomTag.PHOTOMETRIC, "CS", "MONOCHROME2");
    elements.text(DicomTag.FRAMES, "IS", Integer.toString(segments.size()));
    elements.shorts(DicomTag.ROWS, "US", height);
    elements.shorts(DicomTag.COLUMNS, "US", width);
    elements.shorts(DicomTag.BITS_ALLOCATED, "US", bits);
    elements.shorts(DicomTag.BITS_STORED, "US", bits);
    elements.shorts(DicomTag.HIGH_BIT, "US", bits - 1);
    elements.shorts(DicomTag.SIGNED, "US", 0);
    // How the source was measured says nothing of what was found.
    for (int tag : DicomHeader.KEPT.keySet()) {
      if (!NEEDED.contains(tag)) {
        elements.without(tag);
      }
    }
    String dimensions =
        DicomElements.uid("dimensions of " + DicomHeader.uid(source, DicomHeader.INSTANCE));
    elements.items(0x00209221, new DicomElements().text(0x00209164, "UI", dimensions));
    elements.items(
        0x00209222,
        new DicomElements()
            .text(0x00209164, "UI", dimensions)
            .tags(0x00209165, 0x0062000B)
            .tags(0x00209167, 0x0062000A)
            .text(0x00209421, "LO", "ReferencedSegmentNumber"));
    elements.items(DicomTag.SHARED_GROUPS, shared(metadata, source));
    DicomElements[] described = new DicomElements[segments.size()];
    DicomElements[] frames = new DicomElements[segments.size()];
    for (int i = 0; i < frames.length; i++) {
      described[i] = described(i + 1, segments.get(i).label());
      frames[i] = frame(i + 1, source);
    }
    elements.items(0x00620002, described);
    elements.items(DicomTag.PER_FRAME_GROUPS, frames);
    if (!source.attribute(DicomHeader.CLASS).isEmpty()) {
      elements.items(
          0x00081115,
          new DicomElements()
              .items(
                  0x0008114A,
                  new DicomElements()
                      .text(0x00081150, "UI", source.attribute(DicomHeader.CLASS))
                      .text(0x00081155, "UI", DicomHeader.uid(source, DicomHeader.INSTANCE)))
              .text(DicomHeader.SERIES, "UI", DicomHeader.uid(source, DicomHeader.SERIES)));
    }
    elements.bytes(DicomTag.PIXELS, "OB", pixels(width, height, segments, fractional));
    String instance = elements.digest();
    elements.text(DicomHeader.CLASS, "UI", SEGMENTATION);
    elements.text(DicomHeader.INSTANCE, "UI", instance);
    return elements.file(SEGMENTATION, instance);
  }

  private static DicomElements shared(ImageMetadata metadata, MedicalSource source) {
    DicomElements shared = new DicomElements();
    source
        .place()
        .ifPresent(
            place ->
                shared.items(
                    0x00209116,
                    new DicomElements()
                        .decimals(
                            0x00200037,
                            place.alongRow().x(),
                            place.alongRow().y(),
                            place.alongRow().z(),
                            place.alongColumn().x(),
                            place.alongColumn().y(),
                            place.alongColumn().z())));
    metadata
        .spacing()
        .ifPresent(
            size -> {
              String thickness = source.attribute(0x00180050);
              shared.items(
                  DicomTag.PIXEL_MEASURES,
                  new DicomElements()
                      .text(0x00180050, "DS", thickness.isEmpty() ? "1" : thickness)
                      .decimals(DicomTag.PIXEL_SPACING, size.y(), size.x()));
            });
    return shared;
  }

  private static DicomElements frame(int number, MedicalSource source) {
    DicomElements frame = new DicomElements();
    frame.items(0x00209111, new DicomElements().longs(0x00209157, "UL", number));
    source
        .place()
        .ifPresent(
            place ->
                frame.items(
                    0x00209113,
                    new DicomElements()
                        .decimals(0x00200032, DicomWriter.vector(place.position()))));
    frame.items(0x0062000A, new DicomElements().shorts(0x0062000B, "US", number));
    if (!source.attribute(DicomHeader.CLASS).isEmpty()) {
      frame.items(
          0x00089124,
          new DicomElements()
              .items(0x00082112, DicomHeader.reference(source, source.attribute(DicomHeader.CLASS)))
              .code(0x00089215, "113076", "DCM", "Segmentation"));
    }
    return frame;
  }

  private static DicomElements described(int number, String label) {
    Matcher coded = CODED.matcher(label);
    boolean known = coded.matches();
    String name = known ? coded.group(1) : label.isBlank() ? "Segment " + number : label.strip();
    String shown = name.length() > 64 ? name.substring(0, 64) : name;
    String own = DicomElements.uid(name);
    return new DicomElements()
        .shorts(0x00620004, "US", number)
        .text(0x00620005, "LO", shown)
        .text(0x00620008, "CS", "AUTOMATIC")
        .text(0x00620009, "LO", "Flink Diffusion")
        .code(0x00620003, "85756007", "SCT", "Tissue")
        .code(
            0x0062000F,
            known ? coded.group(2) : name.length() <= 16 ? name : own.substring(5, 21),
            known ? coded.group(3) : "99FLINKDIFFUSION",
            shown);
  }

  private static byte[] pixels(int width, int height, List<Segment> segments, boolean fractional) {
    int pixels = Math.multiplyExact(width, height);
    long bits = (long) pixels * segments.size();
    long length = fractional ? bits : (bits + 7) / 8;
    byte[] bytes = new byte[Math.toIntExact(length + 1 & ~1L)];
    int at = 0;
    for (Segment segment : segments) {
      if (segment.shares().length != pixels) {
        throw new ImageException(
            "Segment '%s' has %d pixels; %d x %d are expected"
                .formatted(segment.label(), segment.shares().length, width, height));
      }
      for (float share : segment.shares()) {
        if (fractional) {
          bytes[at] = (byte) Math.rint(255 * Math.max(0, Math.min(1, share)));
        } else if (share >= 0.5f) {
          bytes[at >> 3] |= (byte) (1 << (at & 7));
        }
        at++;
      }
    }
    return bytes;
  }
}
