/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.annotation.Internal;

/**
 * Writes what was found in an image as a DICOM segmentation (PS3.3, A.51): a frame for each
 * segment, either of bits or of shares of 255, in the place of the image. {@link
 * DicomSegmentationFile} writes those of several slices.
 *
 * <p>A segment's label may name its code: {@code Liver (10200004, SCT)}. Without one, the label
 * itself is the code, of this project's own scheme.
 */
@Internal
public final class DicomSegmentation {
  static final int SPATIAL_LOCATIONS_PRESERVED = 0x0028135A;

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
    List<String> labels = segments.stream().map(Segment::label).toList();
    DicomElements elements = elements(width, height, labels, List.of(metadata), fractional);
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (SegmentPixels pixels = new SegmentPixels(bytes, width * height, fractional)) {
      for (Segment segment : segments) {
        pixels.append(segment);
      }
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
    elements.bytes(DicomTag.PIXELS, "OB", bytes.toByteArray());
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    write(elements, out);
    return out.toByteArray();
  }

  /** Writes the file of elements that are whole but for the class and the instance. */
  static void write(DicomElements elements, OutputStream out) {
    String instance = elements.digest();
    elements.text(DicomHeader.CLASS, "UI", SEGMENTATION);
    elements.text(DicomHeader.INSTANCE, "UI", instance);
    elements.writeFile(out, SEGMENTATION, instance);
  }

  /**
   * All but pixels, class and instance. Frames are in the order of the slices, and those of a slice
   * in that of the segments.
   *
   * @param slices the metadata of images of that size, at least one
   */
  static DicomElements elements(
      int width, int height, List<String> labels, List<ImageMetadata> slices, boolean fractional) {
    if (labels.isEmpty() || width > 0xFFFF || height > 0xFFFF) {
      throw new ImageException(
          "A DICOM segmentation of %d segments of %d x %d pixels; it has at least one, and sides of at most 65535"
              .formatted(labels.size(), width, height));
    }
    ImageMetadata first = slices.get(0);
    DicomElements elements =
        DicomHeader.of(first, fractional ? "fractional segmentation" : "segmentation");
    MedicalSource source = first.medical().orElseThrow();
    requireOneVolume(slices);
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
    elements.text(
        DicomTag.FRAMES, "IS", Integer.toString(Math.multiplyExact(labels.size(), slices.size())));
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
    boolean placed = source.place().isPresent();
    String dimensions =
        DicomElements.uid("dimensions of " + DicomHeader.uid(source, DicomHeader.INSTANCE));
    elements.items(0x00209221, new DicomElements().text(0x00209164, "UI", dimensions));
    DicomElements segmentNumber =
        dimension(dimensions, 0x0062000B, 0x0062000A, "ReferencedSegmentNumber");
    if (slices.size() == 1) {
      elements.items(0x00209222, segmentNumber);
    } else {
      elements.items(
          0x00209222,
          segmentNumber,
          placed
              ? dimension(dimensions, 0x00200032, 0x00209113, "ImagePositionPatient")
              : dimension(dimensions, 0x00209057, 0x00209111, "InStackPositionNumber"));
    }
    elements.items(DicomTag.SHARED_GROUPS, shared(slices));
    DicomElements[] described = new DicomElements[labels.size()];
    for (int i = 0; i < described.length; i++) {
      described[i] = described(i + 1, labels.get(i));
    }
    elements.items(0x00620002, described);
    List<DicomElements> frames = new ArrayList<>();
    for (int slice = 0; slice < slices.size(); slice++) {
      for (int segment = 1; segment <= labels.size(); segment++) {
        frames.add(frame(segment, slice, slices, width, height));
      }
    }
    elements.items(DicomTag.PER_FRAME_GROUPS, frames.toArray(DicomElements[]::new));
    references(elements, slices);
    return elements;
  }

  private static DicomElements dimension(String uid, int pointer, int group, String label) {
    return new DicomElements()
        .text(0x00209164, "UI", uid)
        .tags(0x00209165, pointer)
        .tags(0x00209167, group)
        .text(0x00209421, "LO", label);
  }

  /** What a segmentation says once for all frames has to be the same of all slices. */
  private static void requireOneVolume(List<ImageMetadata> slices) {
    ImageMetadata first = slices.get(0);
    MedicalSource source = first.medical().orElseThrow();
    for (int i = 1; i < slices.size(); i++) {
      MedicalSource other = slices.get(i).medical().orElseThrow();
      String differs =
          !other
                  .attribute(DicomHeader.FRAME_OF_REFERENCE)
                  .equals(source.attribute(DicomHeader.FRAME_OF_REFERENCE))
              ? "frame of reference"
              : !other.attribute(DicomHeader.STUDY).equals(source.attribute(DicomHeader.STUDY))
                  ? "study"
                  : !slices.get(i).spacing().equals(first.spacing())
                      ? "pixel spacing"
                      : other.place().isPresent() != source.place().isPresent()
                              || source.place().isPresent()
                                  && !SliceOrder.parallel(source.place().get(), other.place().get())
                          ? "orientation"
                          : "";
      if (!differs.isEmpty()) {
        throw new ImageException(
            ("Slice %d has another %s than slice 0, so they cannot form one DICOM segmentation."
                    + " Send a request for each")
                .formatted(i, differs));
      }
    }
  }

  /** The files that slices are of, by their series. */
  private static void references(DicomElements elements, List<ImageMetadata> slices) {
    Map<String, Map<String, DicomElements>> series = new TreeMap<>();
    for (ImageMetadata slice : slices) {
      MedicalSource source = slice.medical().orElseThrow();
      if (!source.attribute(DicomHeader.CLASS).isEmpty()) {
        String instance = DicomHeader.uid(source, DicomHeader.INSTANCE);
        series
            .computeIfAbsent(
                DicomHeader.uid(source, DicomHeader.SERIES), uid -> new LinkedHashMap<>())
            .put(
                instance,
                new DicomElements()
                    .text(0x00081150, "UI", source.attribute(DicomHeader.CLASS))
                    .text(0x00081155, "UI", instance));
      }
    }
    if (!series.isEmpty()) {
      elements.items(
          0x00081115,
          series.entrySet().stream()
              .map(
                  one ->
                      new DicomElements()
                          .items(0x0008114A, one.getValue().values().toArray(DicomElements[]::new))
                          .text(DicomHeader.SERIES, "UI", one.getKey()))
              .toArray(DicomElements[]::new));
    }
  }

  private static DicomElements shared(List<ImageMetadata> slices) {
    ImageMetadata metadata = slices.get(0);
    MedicalSource source = metadata.medical().orElseThrow();
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
              DicomElements measures =
                  new DicomElements()
                      .text(0x00180050, "DS", thickness.isEmpty() ? "1" : thickness)
                      .decimals(DicomTag.PIXEL_SPACING, size.y(), size.x());
              between(slices).ifPresent(mm -> measures.decimals(0x00180088, mm));
              shared.items(DicomTag.PIXEL_MEASURES, measures);
            });
    return shared;
  }

  /** How far slices are from each other, if they are all as far. */
  private static OptionalDouble between(List<ImageMetadata> slices) {
    List<SlicePlace> places =
        slices.stream().flatMap(slice -> slice.medical().orElseThrow().place().stream()).toList();
    boolean volume =
        places.size() > 1
            && SliceOrder.faults(places, Collections.nCopies(places.size(), "")).isEmpty();
    return volume ? OptionalDouble.of(SliceOrder.step(places).length()) : OptionalDouble.empty();
  }

  private static DicomElements frame(
      int segment, int slice, List<ImageMetadata> slices, int width, int height) {
    MedicalSource source = slices.get(slice).medical().orElseThrow();
    DicomElements frame = new DicomElements();
    DicomElements content = new DicomElements();
    if (slices.size() == 1) {
      content.longs(0x00209157, "UL", segment);
    } else {
      content.longs(0x00209157, "UL", segment, slice + 1);
      if (source.place().isEmpty()) {
        content.text(0x00209056, "SH", "1").longs(0x00209057, "UL", slice + 1);
      }
    }
    frame.items(0x00209111, content);
    source
        .place()
        .ifPresent(
            place ->
                frame.items(
                    0x00209113,
                    new DicomElements()
                        .decimals(0x00200032, DicomWriter.vector(place.position()))));
    frame.items(0x0062000A, new DicomElements().shorts(0x0062000B, "US", segment));
    if (!source.attribute(DicomHeader.CLASS).isEmpty()) {
      DicomElements reference = DicomHeader.reference(source, source.attribute(DicomHeader.CLASS));
      if (source.attribute(DicomTag.ROWS).equals(Integer.toString(height))
          && source.attribute(DicomTag.COLUMNS).equals(Integer.toString(width))) {
        // A pixel is where the source has the same one, so programs may lay it over the source.
        reference.text(SPATIAL_LOCATIONS_PRESERVED, "CS", "YES");
      }
      frame.items(
          0x00089124,
          new DicomElements()
              .items(0x00082112, reference)
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
}
