/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A DICOM file whose elements are known and whose frames are read one at a time. Only a deflated
 * file is held as a whole.
 *
 * <p>Nothing that the file says of a patient is kept: only what is listed here as technical is
 * among the texts, unless {@link ReadOptions#patientData()} asks for all.
 */
final class DicomFile {
  private static final Logger LOG = LoggerFactory.getLogger(DicomFile.class);

  private static final int PREAMBLE = 128;
  private static final int PLANE_POSITION = 0x00209113;
  private static final int PLANE_ORIENTATION = 0x00209116;
  private static final int MOST_OVERLAYS = 16;

  /** Texts that say how an image was made and nothing of whom it shows, when or where. */
  private static final Map<Integer, String> TECHNICAL =
      Map.of(
          0x00080060, "Modality",
          0x00180050, "SliceThickness",
          0x00180060, "KVP",
          0x00180080, "RepetitionTime",
          0x00180081, "EchoTime",
          0x00180087, "MagneticFieldStrength");

  /** Types whose values are words; the others are numbers or bytes. */
  private static final Set<String> WORDS =
      Set.of(
          "AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI",
          "UR", "UT");

  private final DicomDataSet set;
  private final DicomSyntax syntax;
  private final DicomLayout layout;

  private DicomFile(DicomDataSet set, DicomSyntax syntax, DicomLayout layout) {
    this.set = set;
    this.syntax = syntax;
    this.layout = layout;
  }

  /**
   * @param most bytes of a deflated file's elements
   */
  static DicomFile open(DicomSource source, long most) {
    long from = hasPreamble(source) ? PREAMBLE + 4 : 0;
    DicomDataSet meta = DicomDataSet.fileMeta(source, from);
    long at = meta.end();
    Optional<String> uid = meta.text(DicomTag.TRANSFER_SYNTAX).filter(text -> !text.isEmpty());
    DicomSyntax syntax =
        uid.isPresent() ? DicomSyntax.of(uid.get()) : DicomSyntax.guessed(source, at);
    DicomDataSet set;
    if (syntax == DicomSyntax.DEFLATED) {
      set = DicomDataSet.upToPixels(inflated(source, at, most), 0, syntax.encoding());
    } else {
      set = DicomDataSet.upToPixels(source, at, syntax.encoding());
    }
    if (set.elements().keySet().stream().noneMatch(DicomTag::isPixels)) {
      throw new ImageException(
          "The DICOM file has no pixels: its class is %s, its modality %s"
              .formatted(
                  set.text(0x00080016).orElse("unknown"), set.text(0x00080060).orElse("unknown")));
    }
    return new DicomFile(set, syntax, DicomLayout.of(set));
  }

  private static boolean hasPreamble(DicomSource source) {
    return source.size() >= PREAMBLE + 4
        && new String(source.bytes(PREAMBLE, 4), StandardCharsets.ISO_8859_1).equals("DICM");
  }

  private static DicomSource inflated(DicomSource source, long at, long most) {
    Inflater inflater = new Inflater(true);
    ByteArrayOutputStream plain = new ByteArrayOutputStream();
    byte[] buffer = new byte[1 << 16];
    try {
      while (!inflater.finished()) {
        if (inflater.needsInput()) {
          int length = (int) Math.min(buffer.length, source.size() - at);
          if (length == 0) {
            throw new ImageException("Truncated DICOM file: its deflated elements have no end");
          }
          inflater.setInput(source.bytes(at, length));
          at += length;
        }
        plain.write(buffer, 0, inflater.inflate(buffer));
        if (plain.size() > most || inflater.needsDictionary()) {
          throw new ImageException(
              "The deflated DICOM file becomes more than %d bytes, which are accepted"
                  .formatted(most));
        }
      }
    } catch (DataFormatException e) {
      throw new ImageException("Corrupt DICOM file: it cannot be inflated: " + e.getMessage(), e);
    } finally {
      inflater.end();
    }
    return DicomSource.of(plain.toByteArray());
  }

  DicomLayout layout() {
    return layout;
  }

  /** What a deflated file takes as long as it is open; 0 for others. */
  long inflatedBytes() {
    return syntax == DicomSyntax.DEFLATED ? set.source().size() : 0;
  }

  DicomSyntax syntax() {
    return syntax;
  }

  DicomDataSet set() {
    return set;
  }

  /** The stored values of a frame, from 0. */
  DicomSamples stored(int frame) {
    return new DicomPixels(set, syntax, layout).frame(frame);
  }

  Raster frame(ReadOptions options) {
    int frame = options.page();
    if (frame >= layout.frames()) {
      throw new ImageException(
          "Frame %d of a DICOM file that has %d, counted from 0".formatted(frame, layout.frames()));
    }
    boolean gray = layout.photometric().startsWith("MONOCHROME");
    options.limits().check(layout.columns(), layout.rows(), gray ? 1 : 3);
    for (int i = 0; i < MOST_OVERLAYS; i++) {
      if (set.has(DicomTag.OVERLAY_ROWS + (i << 17))) {
        LOG.info("A DICOM file has overlays; they are left out of the image.");
        break;
      }
    }
    DicomSamples samples = stored(frame);
    return gray
        ? DicomGray.raster(this, frame, samples, options)
        : DicomColor.raster(this, frame, samples, options);
  }

  /**
   * The attributes of a frame in a functional group: its own, else those that all frames share,
   * else the file's.
   */
  DicomDataSet group(int sequence, int frame) {
    return set.item(DicomTag.PER_FRAME_GROUPS, frame)
        .flatMap(groups -> groups.item(sequence, 0))
        .or(() -> set.item(DicomTag.SHARED_GROUPS, 0).flatMap(groups -> groups.item(sequence, 0)))
        .orElse(set);
  }

  ImageMetadata metadata(int frame, ReadOptions options) {
    SortedMap<String, String> texts = new TreeMap<>();
    TECHNICAL.forEach((tag, name) -> set.text(tag).ifPresent(words -> texts.put(name, words)));
    if (layout.frames() > 1) {
      texts.put("Frame", "%d of %d".formatted(frame + 1, layout.frames()));
    }
    if (options.patientData()) {
      DicomCharset charset = DicomCharset.of(set);
      set.elements()
          .forEach(
              (tag, element) -> {
                if (WORDS.contains(element.type()) && !TECHNICAL.containsKey(tag)) {
                  texts.put("dicom.%08X".formatted(tag), set.text(tag, charset).orElseThrow());
                }
              });
    }
    texts.putAll(DicomHeader.texts(set));
    ImageMetadata metadata =
        ImageMetadata.NONE.withTexts(texts).withMedical(medical(frame, options.patientData()));
    return spacing(frame).map(metadata::withSpacing).orElse(metadata);
  }

  /** What a DICOM file that is made of this one says of it. */
  private MedicalSource medical(int frame, boolean identified) {
    SortedMap<Integer, String> attributes = new TreeMap<>();
    DicomCharset charset = DicomCharset.of(set);
    for (Map<Integer, String> some :
        List.of(
            DicomHeader.OTHERS,
            DicomHeader.KEPT,
            identified ? DicomHeader.IDENTIFYING : Map.<Integer, String>of())) {
      for (int tag : some.keySet()) {
        (identified ? set.text(tag, charset) : set.text(tag))
            .filter(text -> !text.isEmpty())
            .ifPresent(text -> attributes.put(tag, text));
      }
    }
    attributes.put(DicomTag.ROWS, Integer.toString(layout.rows()));
    attributes.put(DicomTag.COLUMNS, Integer.toString(layout.columns()));
    if (layout.frames() > 1) {
      attributes.put(DicomHeader.FRAME_NUMBER, Integer.toString(frame + 1));
    }
    return new MedicalSource(place(frame), attributes, identified);
  }

  /** Where a frame lies, if the file says it in full. */
  Optional<SlicePlace> place(int frame) {
    DicomDataSet position = group(PLANE_POSITION, frame);
    DicomDataSet orientation = group(PLANE_ORIENTATION, frame);
    double[] numbers = new double[9];
    for (int i = 0; i < 9; i++) {
      Optional<Double> number =
          i < 3 ? position.decimal(0x00200032, i) : orientation.decimal(0x00200037, i - 3);
      if (number.isEmpty()) {
        return Optional.empty();
      }
      numbers[i] = number.get();
    }
    SlicePlace place =
        new SlicePlace(
            new SlicePlace.Vector(numbers[0], numbers[1], numbers[2]),
            new SlicePlace.Vector(numbers[3], numbers[4], numbers[5]),
            new SlicePlace.Vector(numbers[6], numbers[7], numbers[8]));
    if (layout.frames() > 1 && position == set) {
      // The file's own place is that of one frame; those of others follow only in a dose.
      Optional<Double> offset = set.decimal(DicomTag.FRAME_OFFSETS, frame);
      boolean counted = set.decimal(DicomTag.FRAME_OFFSETS, 0).orElse(1.0) == 0;
      if (offset.isEmpty() || !counted) {
        return Optional.empty();
      }
      place = SliceOrder.shifted(place, offset.get());
    }
    boolean directions =
        Math.abs(place.alongRow().length() - 1) < 0.01
            && Math.abs(place.alongColumn().length() - 1) < 0.01;
    return directions ? Optional.of(place) : Optional.empty();
  }

  /** Unknown where it is 0, as some programs write. */
  Optional<PixelSpacing> spacing(int frame) {
    DicomDataSet group = group(DicomTag.PIXEL_MEASURES, frame);
    Optional<Double> y = group.decimal(DicomTag.PIXEL_SPACING, 0);
    Optional<Double> x = group.decimal(DicomTag.PIXEL_SPACING, 1);
    return x.isPresent() && y.isPresent() && x.get() > 0 && y.get() > 0
        ? Optional.of(new PixelSpacing(x.get(), y.get()))
        : Optional.empty();
  }
}
