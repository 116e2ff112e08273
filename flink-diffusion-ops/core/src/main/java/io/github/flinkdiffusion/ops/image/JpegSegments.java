/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * What the segments of a JPEG file say, read without touching its pixels.
 *
 * @param process the header's marker, such as C0 for baseline
 * @param ids of the components
 * @param isJfif whether it has JFIF's segment, which says that colors are YCbCr
 * @param adobeTransform the color transform in Adobe's segment: 0 none, 1 YCbCr, 2 YCCK
 * @param orientation as EXIF or XMP data say it, 1 to 8; 1 is upright
 * @param profile the color profile, as Pillow sees it: its parts in order, none if their number is
 *     not the one that they name
 * @param texts comments, and what {@link #written} puts into a file
 * @param forDecoder the file without the segments that are read here, so that a decoder takes
 *     samples as they are
 */
record JpegSegments(
    int width,
    int height,
    int bits,
    int process,
    List<Integer> ids,
    boolean isJfif,
    OptionalInt adobeTransform,
    Optional<PixelSpacing> spacing,
    int orientation,
    Optional<byte[]> profile,
    SortedMap<String, String> texts,
    byte[] forDecoder) {
  /** A progressive file has about ten; each costs a pass over the whole picture. */
  private static final int MAX_SCANS = 100;

  private static final String PROFILE_MARK = "ICC_PROFILE\0";
  private static final String EXIF_MARK = "Exif\0\0";
  private static final String XMP_MARK = "http://ns.adobe.com/xap/1.0/\0";
  private static final int MOST_IN_SEGMENT = 65533;
  private static final String COMMENT = "Comment";

  int components() {
    return ids.size();
  }

  /**
   * @throws ImageException for a file that is not whole, or has no header or no pixels
   */
  static JpegSegments read(byte[] file) {
    return new Parser(file).parse();
  }

  private static final class Parser {
    private final byte[] file;
    private final ByteArrayOutputStream kept = new ByteArrayOutputStream();
    private final List<byte[]> profile = new ArrayList<>();

    /** Of the parts of the profile, the numbers that they have. */
    private final List<Integer> order = new ArrayList<>();

    private int saidParts;
    private final SortedMap<String, String> texts = new TreeMap<>();
    private int frameAt = -1;
    private boolean jfif;
    private OptionalInt adobe = OptionalInt.empty();
    private Optional<PixelSpacing> spacing = Optional.empty();
    private OptionalInt orientation = OptionalInt.empty();
    private Optional<String> xmp = Optional.empty();

    Parser(byte[] file) {
      this.file = file;
    }

    JpegSegments parse() {
      int scans = 0;
      int at = 2;
      int from = 0;
      while (true) {
        // Between segments only packed pixels lie, in which FF is followed by 0 or a restart.
        while (at + 1 < file.length && !isMarker(at)) {
          at++;
        }
        if (at + 1 >= file.length) {
          throw new ImageException(
              "Truncated JPEG file: it ends at byte %d without an end mark".formatted(file.length));
        }
        int marker = file[at + 1] & 0xFF;
        if (marker == 0xD9) {
          kept.write(file, from, at + 2 - from);
          break;
        }
        if (marker == 0xD8) {
          at += 2;
          continue;
        }
        int length = at + 3 < file.length ? unsigned(at + 2) : 0;
        if (length < 2 || at + 2 + length > file.length) {
          throw new ImageException(
              "Truncated JPEG file: the segment at byte %d has %d bytes, but the file ends at %d"
                  .formatted(at, length, file.length));
        }
        if (isFrame(marker)) {
          if (frameAt >= 0) {
            throw new ImageException("Corrupt JPEG file: it has more than one header");
          }
          frameAt = at;
        } else if (marker == 0xDA && ++scans > MAX_SCANS) {
          throw new ImageException(
              "A JPEG file of more than %d scans, which are accepted".formatted(MAX_SCANS));
        } else if (marker >= 0xE0 && marker <= 0xEF || marker == 0xFE) {
          application(marker, at, length);
          if (marker != 0xEE) {
            kept.write(file, from, at - from);
            from = at + 2 + length;
          }
        }
        at += 2 + length;
      }
      if (frameAt < 0 || scans == 0) {
        throw new ImageException("Corrupt JPEG file: it has no header or no pixels");
      }
      return frame();
    }

    private boolean isMarker(int at) {
      int code = file[at + 1] & 0xFF;
      boolean restart = code >= 0xD0 && code <= 0xD7;
      return (file[at] & 0xFF) == 0xFF && code != 0 && code != 1 && code != 0xFF && !restart;
    }

    /** C0 to CF, but for the tables among them. */
    private static boolean isFrame(int marker) {
      return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    }

    private void application(int marker, int at, int length) {
      if (marker == 0xE0 && length >= 14 && begins(at, length, "JFIF")) {
        jfif = true;
        spacing = spacing(file[at + 11], unsigned(at + 12), unsigned(at + 14));
      } else if (marker == 0xE1 && begins(at, length, EXIF_MARK)) {
        int begin = at + 4 + EXIF_MARK.length();
        orientation = Exif.orientation(file, begin, at + 2 + length);
      } else if (marker == 0xE1 && begins(at, length, XMP_MARK)) {
        int begin = at + 4 + XMP_MARK.length();
        xmp = Optional.of(new String(file, begin, at + 2 + length - begin, StandardCharsets.UTF_8));
      } else if (marker == 0xE2 && length >= 18 && begins(at, length, PROFILE_MARK)) {
        profile.add(Arrays.copyOfRange(file, at + 18, at + 2 + length));
        order.add(file[at + 16] & 0xFF);
        saidParts = order.size() == 1 ? file[at + 17] & 0xFF : saidParts;
      } else if (marker == 0xEE && length >= 14 && begins(at, length, "Adobe")) {
        adobe = OptionalInt.of(file[at + 15] & 0xFF);
      } else if (marker == 0xFE) {
        comment(new String(file, at + 4, length - 2, StandardCharsets.UTF_8));
      }
    }

    private Optional<byte[]> wholeProfile() {
      if (profile.isEmpty() || saidParts != profile.size()) {
        return Optional.empty();
      }
      List<Integer> places = new ArrayList<>();
      for (int i = 0; i < profile.size(); i++) {
        places.add(i);
      }
      places.sort(Comparator.comparing(order::get));
      ByteArrayOutputStream whole = new ByteArrayOutputStream();
      places.forEach(place -> whole.writeBytes(profile.get(place)));
      return Optional.of(whole.toByteArray());
    }

    private void comment(String text) {
      int zero = text.indexOf('\0');
      if (zero > 0 && zero < text.length() - 1) {
        texts.merge(text.substring(0, zero), text.substring(zero + 1), String::concat);
      } else {
        String plain = text.replace("\0", "").strip();
        if (!plain.isEmpty()) {
          texts.put(COMMENT, plain);
        }
      }
    }

    private boolean begins(int at, int length, String mark) {
      for (int i = 0; i < mark.length(); i++) {
        if (i + 2 >= length || file[at + 4 + i] != mark.charAt(i)) {
          return false;
        }
      }
      return true;
    }

    private JpegSegments frame() {
      int length = unsigned(frameAt + 2);
      int components = length < 8 ? 0 : file[frameAt + 9] & 0xFF;
      if (length < 8 + 3 * components || components == 0) {
        throw new ImageException("Corrupt JPEG file: a header of %d bytes".formatted(length));
      }
      int height = unsigned(frameAt + 5);
      int width = unsigned(frameAt + 7);
      if (width < 1 || height < 1) {
        throw new ImageException(
            "Corrupt JPEG file: it says that it is %d x %d pixels in %d components"
                .formatted(width, height, components));
      }
      List<Integer> ids = new ArrayList<>();
      for (int i = 0; i < components; i++) {
        ids.add(file[frameAt + 10 + 3 * i] & 0xFF);
      }
      return new JpegSegments(
          width,
          height,
          file[frameAt + 4] & 0xFF,
          file[frameAt + 1] & 0xFF,
          List.copyOf(ids),
          jfif,
          adobe,
          spacing,
          Exif.upright(orientation, xmp),
          wholeProfile(),
          texts,
          kept.toByteArray());
    }

    private static Optional<PixelSpacing> spacing(int unit, int x, int y) {
      double millimetres = unit == 1 ? 25.4 : 10;
      return (unit == 1 || unit == 2) && x > 0 && y > 0
          ? Optional.of(new PixelSpacing(millimetres / x, millimetres / y))
          : Optional.empty();
    }

    private int unsigned(int at) {
      return (file[at] & 0xFF) << 8 | file[at + 1] & 0xFF;
    }
  }

  // ---------------------------------------------------------------- writing

  /** The file with the metadata that JPEG can hold, behind its JFIF segment. */
  static byte[] written(byte[] jpeg, ImageMetadata metadata, int channels) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    int afterJfif = 4 + ((jpeg[4] & 0xFF) << 8 | jpeg[5] & 0xFF);
    out.write(jpeg, 0, afterJfif);
    metadata.profile(channels).ifPresent(profile -> writeProfile(out, profile));
    for (Map.Entry<String, String> text : metadata.texts().entrySet()) {
      writeText(out, text.getKey(), text.getValue());
    }
    out.write(jpeg, afterJfif, jpeg.length - afterJfif);
    byte[] file = out.toByteArray();
    metadata.spacing().ifPresent(spacing -> writeSpacing(file, spacing));
    return file;
  }

  /** Whole pixels a centimetre, if these are near enough. */
  private static void writeSpacing(byte[] file, PixelSpacing spacing) {
    long x = Math.round(10 / spacing.x());
    long y = Math.round(10 / spacing.y());
    if (Math.min(x, y) < 10 || Math.max(x, y) > 0xFFFF) {
      return;
    }
    file[13] = 2;
    file[14] = (byte) (x >> 8);
    file[15] = (byte) x;
    file[16] = (byte) (y >> 8);
    file[17] = (byte) y;
  }

  private static void writeProfile(ByteArrayOutputStream out, byte[] profile) {
    int most = MOST_IN_SEGMENT - PROFILE_MARK.length() - 2;
    int parts = (profile.length + most - 1) / most;
    if (parts > 255) {
      return;
    }
    for (int part = 0; part < parts; part++) {
      int length = Math.min(most, profile.length - part * most);
      header(out, 0xE2, PROFILE_MARK.length() + 2 + length);
      out.writeBytes(PROFILE_MARK.getBytes(StandardCharsets.US_ASCII));
      out.write(part + 1);
      out.write(parts);
      out.write(profile, part * most, length);
    }
  }

  /** Comments of a name, a zero and a text; what is too long for one goes on in the next. */
  private static void writeText(ByteArrayOutputStream out, String name, String text) {
    if (name.isEmpty() || name.indexOf('\0') >= 0 || text.indexOf('\0') >= 0) {
      throw new ImageException(
          "A JPEG file cannot hold a text named '%s': names and texts have no zero character, and names at least one"
              .formatted(name));
    }
    byte[] begin = (name + '\0').getBytes(StandardCharsets.UTF_8);
    if (begin.length > 1000) {
      throw new ImageException(
          "A JPEG file cannot hold a text whose name has %d bytes".formatted(begin.length));
    }
    // At most three bytes a char, so that none is cut in two.
    int most = (MOST_IN_SEGMENT - begin.length) / 3;
    for (int at = 0; at < text.length(); ) {
      int end = Math.min(text.length(), at + most);
      if (end < text.length() && Character.isHighSurrogate(text.charAt(end - 1))) {
        end--;
      }
      byte[] part = text.substring(at, end).getBytes(StandardCharsets.UTF_8);
      header(out, 0xFE, begin.length + part.length);
      out.writeBytes(begin);
      out.writeBytes(part);
      at = end;
    }
  }

  private static void header(ByteArrayOutputStream out, int marker, int bytes) {
    out.write(0xFF);
    out.write(marker);
    out.write(bytes + 2 >> 8);
    out.write(bytes + 2);
  }
}
