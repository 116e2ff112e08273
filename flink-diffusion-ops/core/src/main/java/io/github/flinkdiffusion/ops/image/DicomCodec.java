package io.github.flinkdiffusion.ops.image;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * DICOM files with one uncompressed gray frame of 8 or 16 bits.
 *
 * <p>A value is the stored one times the rescale slope plus the intercept, such as Hounsfield
 * units. The window, if there is one, is the raster's range: its ends are black and white, and what
 * lies outside is kept. Where small values are bright (MONOCHROME1), the range descends.
 *
 * <p>Nothing that the file says of a patient is kept: only what is listed here as technical is
 * among the texts, unless {@link ReadOptions#patientData()} asks for all.
 */
final class DicomCodec implements ImageFormat {
  private static final int PREAMBLE = 128;

  private static final String IMPLICIT_LITTLE = "1.2.840.10008.1.2";
  private static final String EXPLICIT_LITTLE = "1.2.840.10008.1.2.1";

  private static final int TRANSFER_SYNTAX = 0x00020010;
  private static final int SAMPLES = 0x00280002;
  private static final int PHOTOMETRIC = 0x00280004;
  private static final int FRAMES = 0x00280008;
  private static final int ROWS = 0x00280010;
  private static final int COLUMNS = 0x00280011;
  private static final int PIXEL_SPACING = 0x00280030;
  private static final int BITS_ALLOCATED = 0x00280100;
  private static final int BITS_STORED = 0x00280101;
  private static final int SIGNED = 0x00280103;
  private static final int WINDOW_CENTER = 0x00281050;
  private static final int WINDOW_WIDTH = 0x00281051;
  private static final int INTERCEPT = 0x00281052;
  private static final int SLOPE = 0x00281053;
  private static final int PIXELS = 0x7FE00010;

  private static final int ITEM = 0xFFFEE000;
  private static final int ITEM_END = 0xFFFEE00D;
  private static final int SEQUENCE_END = 0xFFFEE0DD;
  private static final int MAX_DEPTH = 16;

  /** Texts that say how a picture was made and nothing of whom it shows, when or where. */
  private static final Map<Integer, String> TECHNICAL =
      Map.of(
          0x00080060, "Modality",
          0x00180050, "SliceThickness",
          0x00180060, "KVP",
          0x00180080, "RepetitionTime",
          0x00180081, "EchoTime",
          0x00180087, "MagneticFieldStrength");

  private static final Set<String> LONG_LENGTHS =
      Set.of("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UC", "UN", "UR", "UT", "SV", "UV");

  /** Types whose values are words; the others are numbers or bytes. */
  private static final Set<String> WORDS =
      Set.of(
          "AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI",
          "UR", "UT");

  @Override
  public String mediaType() {
    return "application/dicom";
  }

  @Override
  public boolean recognises(byte[] file) {
    return file.length >= PREAMBLE + 4
        && new String(file, PREAMBLE, 4, StandardCharsets.ISO_8859_1).equals("DICM");
  }

  @Override
  public Raster read(byte[] file, ReadOptions options) {
    if (options.page() > 0) {
      throw new ImageException("Page %d of a DICOM file, which has one".formatted(options.page()));
    }
    return new DataSet(file).picture(options);
  }

  private record Element(String type, int at, int length) {}

  /** The elements outside of sequences. */
  private static final class DataSet {
    private final byte[] file;
    private final ByteBuffer bytes;
    private final Map<Integer, Element> elements = new HashMap<>();
    private int at = PREAMBLE + 4;

    DataSet(byte[] file) {
      this.file = file;
      this.bytes = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
      while (remaining() >= 8 && bytes.getShort(at) == 2) {
        element(true, 0, elements);
      }
      String syntax = text(TRANSFER_SYNTAX).orElse(IMPLICIT_LITTLE);
      if (!syntax.equals(IMPLICIT_LITTLE) && !syntax.equals(EXPLICIT_LITTLE)) {
        throw new ImageException(
            ("A DICOM file with transfer syntax %s; uncompressed little-endian ones (%s, %s) are"
                    + " supported")
                .formatted(syntax, IMPLICIT_LITTLE, EXPLICIT_LITTLE));
      }
      while (remaining() > 0 && !elements.containsKey(PIXELS)) {
        element(syntax.equals(EXPLICIT_LITTLE), 0, elements);
      }
    }

    private int remaining() {
      return file.length - at;
    }

    private void require(int length) {
      if (length < 0 || length > remaining()) {
        throw new ImageException(
            "Truncated DICOM file: %s bytes at %d are needed, but it ends at %d"
                .formatted(Integer.toUnsignedString(length), at, file.length));
      }
    }

    /** Reads an element, into the map unless it is null; sequences are passed over. */
    private int element(boolean explicit, int depth, Map<Integer, Element> into) {
      require(8);
      int tag = (bytes.getShort(at) & 0xFFFF) << 16 | bytes.getShort(at + 2) & 0xFFFF;
      String type = "";
      int length;
      if (tag == ITEM || tag == ITEM_END || tag == SEQUENCE_END || !explicit) {
        length = bytes.getInt(at + 4);
        at += 8;
      } else {
        type = new String(file, at + 4, 2, StandardCharsets.ISO_8859_1);
        if (LONG_LENGTHS.contains(type)) {
          require(12);
          length = bytes.getInt(at + 8);
          at += 12;
        } else {
          length = bytes.getShort(at + 6) & 0xFFFF;
          at += 8;
        }
      }
      if (length == -1) {
        if (tag == PIXELS || depth == MAX_DEPTH) {
          throw new ImageException(
              "A DICOM file with pixels in fragments or sequences deeper than %d; neither is"
                      .formatted(MAX_DEPTH)
                  + " supported");
        }
        // Until its end mark, whether a sequence of items or an item of elements.
        int end = tag == ITEM ? ITEM_END : SEQUENCE_END;
        boolean inside = explicit && !type.equals("UN");
        while (element(inside, depth + 1, null) != end) {}
        return tag;
      }
      require(length);
      if (into != null && into.put(tag, new Element(type, at, length)) != null) {
        throw new ImageException("Damaged DICOM file: element %08X stands twice".formatted(tag));
      }
      at += length;
      return tag;
    }

    private Optional<String> text(int tag) {
      Element element = elements.get(tag);
      return element == null
          ? Optional.empty()
          : Optional.of(
              new String(file, element.at(), element.length(), StandardCharsets.ISO_8859_1)
                  .replace('\0', ' ')
                  .strip());
    }

    /** The first of an element's decimal numbers, or the one at an index. */
    private Optional<Double> decimal(int tag, int index) {
      Optional<String> text = text(tag).filter(words -> !words.isEmpty());
      if (text.isEmpty()) {
        return Optional.empty();
      }
      String[] parts = text.get().split("\\\\");
      if (index >= parts.length) {
        return Optional.empty();
      }
      try {
        double value = Double.parseDouble(parts[index].strip());
        if (Double.isFinite(value)) {
          return Optional.of(value);
        }
      } catch (NumberFormatException e) {
        // Told below, as is infinity.
      }
      throw new ImageException(
          "Damaged DICOM file: element %08X is '%s'; a finite number is expected"
              .formatted(tag, parts[index]));
    }

    private int integer(int tag, int otherwise) {
      Element element = elements.get(tag);
      if (element == null) {
        return otherwise;
      }
      if (element.length() < 2) {
        throw new ImageException(
            "Damaged DICOM file: element %08X has %d bytes; 2 are expected"
                .formatted(tag, element.length()));
      }
      return bytes.getShort(element.at()) & 0xFFFF;
    }

    Raster picture(ReadOptions options) {
      int rows = integer(ROWS, 0);
      int columns = integer(COLUMNS, 0);
      int bits = integer(BITS_ALLOCATED, 0);
      int stored = integer(BITS_STORED, bits);
      int samples = integer(SAMPLES, 1);
      double frames = decimal(FRAMES, 0).orElse(1.0);
      String photometric = text(PHOTOMETRIC).orElse("MONOCHROME2");
      if (rows < 1 || columns < 1) {
        throw new ImageException(
            "Damaged DICOM file: it says that it is %d x %d pixels".formatted(columns, rows));
      }
      options.limits().check(columns, rows, samples);
      boolean dark = photometric.equals("MONOCHROME2");
      if (samples != 1
          || frames != 1
          || bits != 8 && bits != 16
          || stored < 1
          || stored > bits
          || !dark && !photometric.equals("MONOCHROME1")) {
        throw new ImageException(
            ("A DICOM file of %s frames, %d samples, %d of %d bits, %s; one gray frame (MONOCHROME1"
                    + " or 2) of 8 or 16 bits is supported")
                .formatted(frames, samples, stored, bits, photometric));
      }
      Element pixels = elements.get(PIXELS);
      long needed = (long) rows * columns * (bits / 8);
      if (pixels == null || pixels.length() < needed) {
        throw new ImageException(
            "Damaged DICOM file: %d bytes of pixels; %d are needed"
                .formatted(pixels == null ? 0 : pixels.length(), needed));
      }
      boolean signed = integer(SIGNED, 0) == 1;
      double slope = decimal(SLOPE, 0).orElse(1.0);
      double intercept = decimal(INTERCEPT, 0).orElse(0.0);
      if (slope == 0) {
        throw new ImageException("Damaged DICOM file: a rescale slope of 0");
      }
      double lowest = (signed ? -Math.pow(2, stored - 1) : 0) * slope + intercept;
      double highest = (Math.pow(2, signed ? stored - 1 : stored) - 1) * slope + intercept;
      ValueRange window = window(Math.min(lowest, highest), Math.max(lowest, highest));
      ValueRange range = dark ? window : new ValueRange(window.high(), window.low());
      float[] data = new float[rows * columns];
      int shift = 32 - stored;
      for (int i = 0; i < data.length; i++) {
        int word = bits == 8 ? bytes.get(pixels.at() + i) : bytes.getShort(pixels.at() + 2 * i);
        // Bits above those stored may hold anything.
        int number = signed ? word << shift >> shift : word << shift >>> shift;
        data[i] = (float) range.unit(options.finite(number * slope + intercept, "DICOM"));
      }
      PixelFormat format =
          new PixelFormat(Bands.GRAY, type(lowest, highest, slope, intercept), range);
      return new Raster(1, rows, columns, data, format, metadata(options));
    }

    private static SampleType type(double lowest, double highest, double slope, double intercept) {
      double low = Math.min(lowest, highest);
      double high = Math.max(lowest, highest);
      boolean whole = slope == Math.rint(slope) && intercept == Math.rint(intercept);
      for (SampleType type :
          new SampleType[] {SampleType.UINT8, SampleType.UINT16, SampleType.INT16}) {
        if (whole && low >= type.fullRange().low() && high <= type.fullRange().high()) {
          return type;
        }
      }
      return SampleType.FLOAT32;
    }

    private ValueRange window(double lowest, double highest) {
      Optional<Double> center = decimal(WINDOW_CENTER, 0);
      Optional<Double> width = decimal(WINDOW_WIDTH, 0);
      return center.isPresent() && width.isPresent() && width.get() > 1
          // As the standard's linear function: the ends are a half and a whole step further in.
          ? new ValueRange(
              center.get() - 0.5 - (width.get() - 1) / 2,
              center.get() - 0.5 + (width.get() - 1) / 2)
          : new ValueRange(lowest, highest);
    }

    private ImageMetadata metadata(ReadOptions options) {
      SortedMap<String, String> texts = new TreeMap<>();
      TECHNICAL.forEach((tag, name) -> text(tag).ifPresent(words -> texts.put(name, words)));
      if (options.patientData()) {
        elements.forEach(
            (tag, element) -> {
              if (WORDS.contains(element.type())
                  && tag >>> 16 != 2
                  && !TECHNICAL.containsKey(tag)) {
                texts.put("dicom.%08X".formatted(tag), text(tag).orElseThrow());
              }
            });
      }
      Optional<Double> y = decimal(PIXEL_SPACING, 0);
      Optional<Double> x = decimal(PIXEL_SPACING, 1);
      ImageMetadata metadata = ImageMetadata.NONE.withTexts(texts);
      return x.isPresent() && y.isPresent()
          ? metadata.withSpacing(new PixelSpacing(x.get(), y.get()))
          : metadata;
    }
  }
}
