/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What derived DICOM files have in common: patient, study, series, equipment, place, and what they
 * were made of.
 *
 * <p>Without the patient's data, what the standard demands of them is there without a value and all
 * UIDs are replaced, each by one that follows from it; the files say so (PS3.15, basic profile). No
 * other attribute of the source is taken over than those listed here.
 */
final class DicomHeader {
  static final int CLASS = 0x00080016;
  static final int INSTANCE = 0x00080018;
  static final int STUDY = 0x0020000D;
  static final int SERIES = 0x0020000E;
  static final int FRAME_OF_REFERENCE = 0x00200052;

  /** Which frame of a file that has several, counted from 1; a file itself has no such element. */
  static final int FRAME_NUMBER = 0x00081160;

  /** Whether the pixels show text that may identify the patient, as far as the file says it. */
  static final int BURNED_IN = 0x00280301;

  static final int IDENTITY_REMOVED = 0x00120062;

  /** How it was removed. */
  static final List<Integer> REMOVAL = List.of(0x00120063, 0x00120064);

  /** A block of this project's own elements, of which one holds the texts. */
  static final int OWNER = 0x00990010;

  static final int TEXTS = 0x00991001;
  static final String OWNER_NAME = "FLINK_DIFFUSION";

  /** Of the patient and the study; with what their types are, and all may be empty. */
  static final Map<Integer, String> IDENTIFYING =
      new TreeMap<>(
          Map.of(
              0x00080020, "DA",
              0x00080030, "TM",
              0x00080050, "SH",
              0x00080090, "PN",
              0x00100010, "PN",
              0x00100020, "LO",
              0x00100030, "DA",
              0x00100040, "CS",
              0x00200010, "SH"));

  /** Of the device and how it saw the patient. */
  static final Map<Integer, String> KEPT =
      new TreeMap<>(
          Map.ofEntries(
              Map.entry(0x00080060, "CS"),
              Map.entry(0x00180015, "CS"),
              Map.entry(0x00180020, "CS"),
              Map.entry(0x00180021, "CS"),
              Map.entry(0x00180022, "CS"),
              Map.entry(0x00180023, "CS"),
              Map.entry(0x00180050, "DS"),
              Map.entry(0x00180060, "DS"),
              Map.entry(0x00180080, "DS"),
              Map.entry(0x00180081, "DS"),
              Map.entry(0x00180087, "DS"),
              Map.entry(0x00180088, "DS"),
              Map.entry(0x00180091, "IS"),
              Map.entry(0x00185100, "CS"),
              Map.entry(0x00185101, "CS"),
              Map.entry(0x00200012, "IS"),
              Map.entry(0x00200013, "IS"),
              Map.entry(0x00200060, "CS"),
              Map.entry(0x00201040, "LO"),
              Map.entry(BURNED_IN, "CS"),
              Map.entry(0x00281054, "LO"),
              Map.entry(0x00282110, "CS")));

  /**
   * Classes whose images have one frame: CR, DX, mammography, CT, US, MR, Secondary Capture and
   * PET. Files of theirs that have several all the same are named as a whole.
   */
  private static final Set<String> SINGLE_FRAME =
      Stream.of("1", "1.1", "1.1.1", "1.2", "1.2.1", "1.3", "1.3.1", "2", "4", "6.1", "7", "128")
          .map(end -> "1.2.840.10008.5.1.4.1.1." + end)
          .collect(Collectors.toUnmodifiableSet());

  /** Needed, but written in another form. */
  static final Map<Integer, String> OTHERS =
      Map.of(
          0x00080008,
          "CS",
          CLASS,
          "UI",
          INSTANCE,
          "UI",
          STUDY,
          "UI",
          SERIES,
          "UI",
          FRAME_OF_REFERENCE,
          "UI");

  private static final int SLICE_DISTANCE = 0x00180088;

  private static final ObjectMapper JSON = new ObjectMapper();

  private DicomHeader() {}

  /** A UID of the source as results name it. */
  static String uid(MedicalSource source, int tag) {
    String uid = source.attribute(tag);
    if (uid.isEmpty()) {
      return DicomElements.uid("unknown %08X".formatted(tag));
    }
    return source.identified() && uid.matches("[0-2](\\.(0|[1-9]\\d*))+") && uid.length() <= 64
        ? uid
        : DicomElements.uid(uid);
  }

  /** All but class and instance, which follow from the rest. */
  static DicomElements of(ImageMetadata metadata, String purpose) {
    MedicalSource source =
        metadata
            .medical()
            .orElseThrow(
                () ->
                    new ImageException(
                        "A DICOM file is made of a DICOM or NIfTI image; this one is neither"));
    DicomElements elements = new DicomElements();
    elements.text(DicomTag.CHARACTER_SET, "CS", "ISO_IR 192");
    IDENTIFYING.forEach(
        (tag, type) -> elements.text(tag, type, source.identified() ? source.attribute(tag) : ""));
    KEPT.forEach(
        (tag, type) -> {
          String value = source.attribute(tag);
          // In nuclear medicine the distance between slices has a sign, in other classes none.
          boolean signed = tag == SLICE_DISTANCE && value.startsWith("-");
          if (!value.isEmpty() && !signed) {
            elements.text(tag, type, source.attribute(tag));
          }
        });
    String date = source.identified() ? source.attribute(0x00080020) : "";
    elements.text(0x00080023, "DA", date.matches("\\d{8}") ? date : "19700101");
    elements.text(0x00080033, "TM", "000000");
    elements.text(0x00080070, "LO", "Flink Diffusion");
    elements.text(0x00081090, "LO", "Flink Diffusion");
    elements.text(0x00181000, "LO", "1");
    elements.text(0x00181020, "LO", "1");
    elements.text(0x00200011, "IS", "");
    if (source.attribute(0x00200013).isEmpty()) {
      elements.text(0x00200013, "IS", "1");
    }
    if (!source.identified()) {
      elements.text(IDENTITY_REMOVED, "CS", "YES");
      elements.text(0x00120063, "LO", "Basic Application Confidentiality Profile");
      elements.code(0x00120064, "113100", "DCM", "Basic Application Confidentiality Profile");
    }
    elements.text(STUDY, "UI", uid(source, STUDY));
    elements.text(SERIES, "UI", DicomElements.uid(uid(source, SERIES) + " " + purpose));
    if (source.place().isPresent()) {
      String frame = uid(source, FRAME_OF_REFERENCE);
      elements.text(FRAME_OF_REFERENCE, "UI", frame);
      elements.text(0x00201040, "LO", source.attribute(0x00201040));
    } else {
      elements.text(0x00200020, "CS", "");
    }
    elements.text(OWNER, "LO", OWNER_NAME);
    elements.text(TEXTS, "UT", json(metadata.texts()));
    return elements;
  }

  /** What the result was made of. */
  static DicomElements reference(MedicalSource source, String classUid) {
    DicomElements reference = new DicomElements();
    if (!source.attribute(FRAME_NUMBER).isEmpty() && !SINGLE_FRAME.contains(classUid)) {
      reference.text(FRAME_NUMBER, "IS", source.attribute(FRAME_NUMBER));
    }
    return reference
        .text(0x00081150, "UI", classUid)
        .text(0x00081155, "UI", uid(source, INSTANCE))
        .code(0x0040A170, "121322", "DCM", "Source image for image processing operation");
  }

  private static String json(Map<String, String> texts) {
    try {
      return JSON.writeValueAsString(texts);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }

  /** The texts that {@link #of} wrote; none of what another program did. */
  static Map<String, String> texts(DicomDataSet set) {
    if (!set.text(OWNER).orElse("").equals(OWNER_NAME) || !set.has(TEXTS)) {
      return Map.of();
    }
    try {
      return JSON.readValue(
          set.text(TEXTS, StandardCharsets.UTF_8).orElseThrow(),
          new TypeReference<Map<String, String>>() {});
    } catch (JsonProcessingException e) {
      throw new ImageException("Corrupt DICOM file: element %08X holds no texts".formatted(TEXTS));
    }
  }
}
