/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.zip.CRC32;
import java.util.zip.DataFormatException;
import java.util.zip.Deflater;
import java.util.zip.Inflater;

/**
 * The texts (blocks tEXt, zTXt and iTXt), the pixels' spacing (pHYs), color profile (iCCP) and
 * orientation (eXIf and texts) of a PNG file. Java's own codec reads and writes the pixels; these
 * blocks are put into its file after the header, where any reader finds them before the pixels.
 */
final class PngMetadata {
  /** Signature and header block. */
  private static final int AFTER_HEADER = 33;

  private static final int MAX_KEYWORD = 79;

  /** Compressed texts that unpack to more are an attack, or at least no text. */
  private static final int MAX_TEXT_BYTES = 1 << 20;

  private static final int MAX_PROFILE_BYTES = 16 << 20;
  private static final String XMP = "XML:com.adobe.xmp";
  private static final String RAW_EXIF = "Raw profile type exif";

  private PngMetadata() {}

  // ---------------------------------------------------------------- reading

  /** Of the blocks of a whole file. */
  static ImageMetadata read(List<PngHeader.Block> blocks) {
    SortedMap<String, String> texts = new TreeMap<>();
    Optional<PixelSpacing> spacing = Optional.empty();
    for (PngHeader.Block block : blocks) {
      ByteBuffer data = block.data();
      switch (block.type()) {
        case "tEXt" -> {
          String keyword = until0(data, StandardCharsets.ISO_8859_1, block);
          texts.put(keyword, rest(data, StandardCharsets.ISO_8859_1));
        }
        case "zTXt" -> {
          String keyword = until0(data, StandardCharsets.ISO_8859_1, block);
          skip(data, 1, block);
          texts.put(keyword, unpacked(data, StandardCharsets.ISO_8859_1, keyword));
        }
        case "iTXt" -> {
          String keyword = until0(data, StandardCharsets.ISO_8859_1, block);
          boolean compressed = data.remaining() > 0 && data.get(data.position()) != 0;
          skip(data, 2, block);
          until0(data, StandardCharsets.US_ASCII, block);
          until0(data, StandardCharsets.UTF_8, block);
          texts.put(
              keyword,
              compressed
                  ? unpacked(data, StandardCharsets.UTF_8, keyword)
                  : rest(data, StandardCharsets.UTF_8));
        }
        case "pHYs" -> spacing = spacing(data);
        default -> {}
      }
    }
    return texts.isEmpty() && spacing.isEmpty()
        ? ImageMetadata.NONE
        : new ImageMetadata(Optional.empty(), spacing, texts, ImageMetadata.NONE.tags());
  }

  /** The color profile; one that cannot be unpacked is none, as Pillow has it. */
  static Optional<byte[]> profile(List<PngHeader.Block> blocks) {
    Optional<PngHeader.Block> found =
        blocks.stream().filter(block -> block.type().equals("iCCP")).findFirst();
    if (found.isEmpty()) {
      return Optional.empty();
    }
    ByteBuffer data = found.get().data().duplicate();
    until0(data, StandardCharsets.ISO_8859_1, found.get());
    skip(data, 1, found.get());
    try {
      return Optional.of(unpacked(data, "color profile", MAX_PROFILE_BYTES));
    } catch (DataFormatException e) {
      return Optional.empty();
    }
  }

  /**
   * The orientation by EXIF or XMP data, 1 to 8; 1 if the file does not say it.
   *
   * @param texts of the file, where ImageMagick puts EXIF data that have no block of their own, and
   *     everybody XMP data
   */
  static int orientation(List<PngHeader.Block> blocks, Map<String, String> texts) {
    byte[] exif =
        blocks.stream()
            .filter(block -> block.type().equals("eXIf"))
            .findFirst()
            .map(
                block -> {
                  byte[] data = new byte[block.data().capacity()];
                  block.data().get(0, data);
                  return data;
                })
            .orElseGet(() -> rawProfile(texts.getOrDefault(RAW_EXIF, "")));
    int begin = exif.length >= 6 && exif[0] == 'E' ? "Exif\0\0".length() : 0;
    return Exif.upright(
        Exif.orientation(exif, begin, exif.length), Optional.ofNullable(texts.get(XMP)));
  }

  /** Without the texts that would have a reader turn the image once more. */
  static ImageMetadata upright(ImageMetadata metadata) {
    SortedMap<String, String> texts = new TreeMap<>(metadata.texts());
    texts.keySet().removeAll(Set.of(RAW_EXIF, XMP));
    return new ImageMetadata(Optional.empty(), metadata.spacing(), texts, metadata.tags());
  }

  /** An empty line, a name, a length, then hexadecimal digits; nothing if it is not that. */
  private static byte[] rawProfile(String text) {
    String[] lines = text.split("\n", 4);
    String digits = lines.length < 4 ? "" : lines[3].replaceAll("\\s", "");
    try {
      return HexFormat.of().parseHex(digits);
    } catch (IllegalArgumentException e) {
      return new byte[0];
    }
  }

  private static Optional<PixelSpacing> spacing(ByteBuffer data) {
    if (data.remaining() != 9 || data.get(8) != 1) {
      return Optional.empty();
    }
    int x = data.getInt();
    int y = data.getInt();
    return x > 0 && y > 0
        ? Optional.of(new PixelSpacing(1000.0 / x, 1000.0 / y))
        : Optional.empty();
  }

  private static String until0(ByteBuffer data, Charset charset, PngHeader.Block block) {
    int start = data.position();
    while (data.hasRemaining()) {
      if (data.get() == 0) {
        int end = data.position() - 1;
        return charset.decode(data.slice(start, end - start)).toString();
      }
    }
    throw damaged(block);
  }

  private static void skip(ByteBuffer data, int bytes, PngHeader.Block block) {
    if (data.remaining() < bytes) {
      throw damaged(block);
    }
    data.position(data.position() + bytes);
  }

  private static String rest(ByteBuffer data, Charset charset) {
    return charset.decode(data).toString();
  }

  private static String unpacked(ByteBuffer data, Charset charset, String keyword) {
    try {
      return new String(unpacked(data, "text '" + keyword + "'", MAX_TEXT_BYTES), charset);
    } catch (DataFormatException e) {
      throw new ImageException(
          "Corrupt PNG file: its text '%s' cannot be unpacked".formatted(keyword), e);
    }
  }

  private static byte[] unpacked(ByteBuffer data, String what, int most)
      throws DataFormatException {
    byte[] packed = new byte[data.remaining()];
    data.get(packed);
    Inflater inflater = new Inflater();
    try {
      inflater.setInput(packed);
      ByteArrayOutputStream text = new ByteArrayOutputStream();
      byte[] part = new byte[8192];
      while (!inflater.finished()) {
        int read = inflater.inflate(part);
        if (read == 0 && !inflater.finished()) {
          throw new ImageException("Corrupt PNG file: its %s is cut off".formatted(what));
        }
        text.write(part, 0, read);
        if (text.size() > most) {
          throw new ImageException(
              "The PNG file's %s has more than %d bytes, which are accepted".formatted(what, most));
        }
      }
      return text.toByteArray();
    } finally {
      inflater.end();
    }
  }

  private static ImageException damaged(PngHeader.Block block) {
    return new ImageException(
        "Corrupt PNG file: a %s block of %d bytes is not whole"
            .formatted(block.type(), block.data().capacity()));
  }

  // ---------------------------------------------------------------- writing

  /** The file with these blocks after its header. */
  static byte[] insert(byte[] png, ImageMetadata metadata, int channels) {
    ByteArrayOutputStream blocks = new ByteArrayOutputStream();
    metadata.profile(channels).ifPresent(profile -> writeProfile(blocks, profile));
    metadata.spacing().ifPresent(size -> writeSpacing(blocks, size));
    for (Map.Entry<String, String> text : metadata.texts().entrySet()) {
      writeText(blocks, text.getKey(), text.getValue());
    }
    if (blocks.size() == 0) {
      return png;
    }
    return ByteBuffer.allocate(png.length + blocks.size())
        .put(png, 0, AFTER_HEADER)
        .put(blocks.toByteArray())
        .put(png, AFTER_HEADER, png.length - AFTER_HEADER)
        .array();
  }

  private static void writeSpacing(ByteArrayOutputStream out, PixelSpacing spacing) {
    double x = Math.rint(1000 / spacing.x());
    double y = Math.rint(1000 / spacing.y());
    // Whole pixels a metre say nothing true of a satellite's.
    if (Math.min(x, y) < 100 || Math.max(x, y) > Integer.MAX_VALUE) {
      return;
    }
    ByteBuffer data = ByteBuffer.allocate(9).putInt((int) x).putInt((int) y).put((byte) 1);
    writeBlock(out, "pHYs", data.array());
  }

  private static void writeProfile(ByteArrayOutputStream out, byte[] profile) {
    ByteArrayOutputStream data = new ByteArrayOutputStream();
    // A name, its end, and method 0.
    data.writeBytes("ICC Profile\0\0".getBytes(StandardCharsets.ISO_8859_1));
    Deflater deflater = new Deflater();
    try {
      deflater.setInput(profile);
      deflater.finish();
      byte[] part = new byte[8192];
      while (!deflater.finished()) {
        data.write(part, 0, deflater.deflate(part));
      }
    } finally {
      deflater.end();
    }
    writeBlock(out, "iCCP", data.toByteArray());
  }

  private static void writeText(ByteArrayOutputStream out, String keyword, String text) {
    if (!isKeyword(keyword) || text.indexOf(0) >= 0) {
      throw new ImageException(
          ("A PNG file cannot hold a text named '%s': names have 1 to %d printable Latin-1"
                  + " characters without spaces at the ends, and texts no zero character")
              .formatted(keyword, MAX_KEYWORD));
    }
    byte[] name = keyword.getBytes(StandardCharsets.ISO_8859_1);
    ByteArrayOutputStream data = new ByteArrayOutputStream();
    data.writeBytes(name);
    if (StandardCharsets.ISO_8859_1.newEncoder().canEncode(text)) {
      data.write(0);
      data.writeBytes(text.getBytes(StandardCharsets.ISO_8859_1));
      writeBlock(out, "tEXt", data.toByteArray());
    } else {
      // End of keyword, not compressed, method 0, no language, no translated keyword.
      data.writeBytes(new byte[5]);
      data.writeBytes(text.getBytes(StandardCharsets.UTF_8));
      writeBlock(out, "iTXt", data.toByteArray());
    }
  }

  private static boolean isKeyword(String name) {
    return !name.isEmpty()
        && name.length() <= MAX_KEYWORD
        && name.equals(name.strip())
        && name.chars().allMatch(c -> 32 <= c && c <= 126 || 161 <= c && c <= 255);
  }

  private static void writeBlock(ByteArrayOutputStream out, String type, byte[] data) {
    byte[] name = type.getBytes(StandardCharsets.US_ASCII);
    CRC32 crc = new CRC32();
    crc.update(name);
    crc.update(data);
    out.writeBytes(ByteBuffer.allocate(4).putInt(data.length).array());
    out.writeBytes(name);
    out.writeBytes(data);
    out.writeBytes(ByteBuffer.allocate(4).putInt((int) crc.getValue()).array());
  }
}
