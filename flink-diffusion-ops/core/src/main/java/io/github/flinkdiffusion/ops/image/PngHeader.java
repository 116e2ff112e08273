/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.zip.CRC32;

/**
 * What a PNG file says of itself, read without touching its pixels. The file's blocks are all
 * looked at, so that a truncated or damaged one is noticed here.
 *
 * @param bitsPerSample 1, 2, 4, 8 or 16, as the color type allows
 */
record PngHeader(int width, int height, int bitsPerSample, ColorType colorType) {

  /** The kinds of pixels, by their code in the file. */
  enum ColorType {
    GRAY(0, 1, Set.of(1, 2, 4, 8, 16)),
    RGB(2, 3, Set.of(8, 16)),
    PALETTE(3, 1, Set.of(1, 2, 4, 8)),
    GRAY_ALPHA(4, 2, Set.of(8, 16)),
    RGBA(6, 4, Set.of(8, 16));

    private final int code;
    private final int samples;
    private final Set<Integer> bits;

    ColorType(int code, int samples, Set<Integer> bits) {
      this.code = code;
      this.samples = samples;
      this.bits = bits;
    }

    int samples() {
      return samples;
    }
  }

  /** A block, its data from position 0. */
  record Block(String type, ByteBuffer data) {}

  private static final byte[] SIGNATURE = {(byte) 0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  private static final int HEADER_BYTES = 13;

  /** Length and type before a block's data, checksum after it. */
  private static final int BLOCK_OVERHEAD = 12;

  static boolean hasSignature(byte[] file) {
    return file.length >= SIGNATURE.length
        && Arrays.equals(file, 0, SIGNATURE.length, SIGNATURE, 0, SIGNATURE.length);
  }

  static PngHeader read(byte[] png) {
    if (!hasSignature(png)) {
      throw new ImageException(
          "Not a PNG file: its %d bytes do not begin with the signature".formatted(png.length));
    }
    List<Block> blocks = blocks(png);
    Block first = blocks.get(0);
    if (!first.type().equals("IHDR") || first.data().capacity() != HEADER_BYTES) {
      throw new ImageException("Corrupt PNG file: it does not begin with a header block");
    }
    if (blocks.stream().noneMatch(block -> block.type().equals("IDAT"))) {
      throw new ImageException("Corrupt PNG file: it holds no pixels");
    }
    return header(first.data());
  }

  /** All blocks up to the end block. */
  static List<Block> blocks(byte[] png) {
    ByteBuffer bytes = ByteBuffer.wrap(png).position(SIGNATURE.length);
    List<Block> blocks = new ArrayList<>();
    do {
      blocks.add(nextBlock(bytes));
    } while (!blocks.get(blocks.size() - 1).type().equals("IEND"));
    return blocks;
  }

  private static Block nextBlock(ByteBuffer bytes) {
    int at = bytes.position();
    if (bytes.remaining() < BLOCK_OVERHEAD) {
      throw new ImageException(
          "Truncated PNG file: it ends at byte %d, before its end block".formatted(bytes.limit()));
    }
    int length = bytes.getInt();
    if (length < 0 || length > bytes.remaining() - 8) {
      throw new ImageException(
          "Truncated PNG file: the block at byte %d has %s bytes, but the file ends at %d"
              .formatted(at, Integer.toUnsignedString(length), bytes.limit()));
    }
    ByteBuffer block = bytes.slice(bytes.position(), 4 + length);
    CRC32 crc = new CRC32();
    crc.update(block.duplicate());
    bytes.position(bytes.position() + 4 + length);
    if ((int) crc.getValue() != bytes.getInt()) {
      throw new ImageException(
          "Corrupt PNG file: the checksum of the block at byte %d is wrong".formatted(at));
    }
    return new Block(
        StandardCharsets.ISO_8859_1.decode(block.slice(0, 4)).toString(), block.slice(4, length));
  }

  private static PngHeader header(ByteBuffer bytes) {
    int width = bytes.getInt();
    int height = bytes.getInt();
    int bits = bytes.get();
    int code = bytes.get();
    if (width <= 0 || height <= 0) {
      throw new ImageException(
          "Corrupt PNG file: it says that it is %s x %s pixels"
              .formatted(Integer.toUnsignedString(width), Integer.toUnsignedString(height)));
    }
    ColorType type =
        Arrays.stream(ColorType.values())
            .filter(candidate -> candidate.code == code)
            .findFirst()
            .orElseThrow(
                () ->
                    new ImageException(
                        "Corrupt PNG file: there is no color type %d".formatted(code)));
    if (!type.bits.contains(bits)) {
      throw new ImageException(
          "Corrupt PNG file: %d bits per sample; %s has one of %s"
              .formatted(bits, type, type.bits.stream().sorted().toList()));
    }
    return new PngHeader(width, height, bits, type);
  }
}
