/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;

/**
 * A labelled box of JUMBF (ISO 19566-5): other such boxes, or contents.
 *
 * @param kind the first four characters of its UUID, such as {@code c2pa}; what comes after them is
 *     the same in all that C2PA uses
 * @param label unique among the boxes of one box
 * @param boxes in it
 * @param contents in it
 * @param payload the box without its own length and type: what a hashed reference to it covers
 */
record SuperBox(
    String kind, String label, List<SuperBox> boxes, List<Content> contents, byte[] payload) {

  /** A box of other bytes. */
  record Content(String type, byte[] bytes) {}

  private static final String SUPER = "jumb";
  private static final String DESCRIPTION = "jumd";
  private static final byte[] UUID_END = {
    0, 0x11, 0, 0x10, (byte) 0x80, 0, 0, (byte) 0xaa, 0, 0x38, (byte) 0x9b, 0x71
  };
  private static final int HEAD = 8;
  private static final int UUID = 16;
  private static final int REQUESTABLE_WITH_LABEL = 3;
  private static final int HAS_LABEL = 2;
  private static final int MOST_DEPTH = 8;

  // ---------------------------------------------------------------- to write

  /** A box's bytes, of the bytes of those in it. */
  static byte[] write(String kind, String label, List<byte[]> inside) {
    ByteArrayOutputStream description = new ByteArrayOutputStream();
    description.writeBytes(kind.getBytes(StandardCharsets.US_ASCII));
    description.writeBytes(UUID_END);
    description.write(REQUESTABLE_WITH_LABEL);
    description.writeBytes(label.getBytes(StandardCharsets.UTF_8));
    description.write(0);
    ByteArrayOutputStream payload = new ByteArrayOutputStream();
    payload.writeBytes(content(DESCRIPTION, description.toByteArray()));
    inside.forEach(payload::writeBytes);
    return content(SUPER, payload.toByteArray());
  }

  static byte[] content(String type, byte[] bytes) {
    return ByteBuffer.allocate(HEAD + bytes.length)
        .putInt(HEAD + bytes.length)
        .put(type.getBytes(StandardCharsets.US_ASCII))
        .put(bytes)
        .array();
  }

  /** Of a box that was written, what a hashed reference to it covers. */
  static byte[] payload(byte[] box) {
    return Arrays.copyOfRange(box, HEAD, box.length);
  }

  /** This box's bytes again. */
  byte[] bytes() {
    return content(SUPER, payload);
  }

  // ---------------------------------------------------------------- to read

  /**
   * The one box that these bytes are. A length beyond them is taken for theirs, as other validators
   * do: nothing that is signed covers it, and the file says how long the store is.
   *
   * @throws CredentialsException if they begin with no such box
   */
  static SuperBox read(byte[] stored) {
    byte[] bytes = stored.clone();
    if (bytes.length >= HEAD
        && Integer.toUnsignedLong(ByteBuffer.wrap(bytes).getInt(0)) > bytes.length) {
      ByteBuffer.wrap(bytes).putInt(0, 0);
    }
    Raw raw = Raw.at(bytes, 0, bytes.length);
    if (!raw.type.equals(SUPER)) {
      throw new CredentialsException("A JUMBF box is expected, not '" + raw.type + "'");
    }
    return of(bytes, raw, 0);
  }

  private static SuperBox of(byte[] bytes, Raw box, int depth) {
    if (depth > MOST_DEPTH) {
      throw new CredentialsException("JUMBF boxes are nested more than " + MOST_DEPTH + " deep");
    }
    Raw description = Raw.at(bytes, box.from, box.to);
    int labelAt = description.from + UUID + 1;
    if (!description.type.equals(DESCRIPTION) || description.to < labelAt) {
      throw new CredentialsException("A JUMBF box does not begin with its description");
    }
    boolean known =
        Arrays.equals(UUID_END, 0, UUID_END.length, bytes, description.from + 4, labelAt - 1);
    String kind =
        known
            ? new String(bytes, description.from, 4, StandardCharsets.ISO_8859_1)
            : HexFormat.of().formatHex(bytes, description.from, labelAt - 1);
    String label = "";
    if ((bytes[labelAt - 1] & HAS_LABEL) != 0) {
      int end = labelAt;
      while (end < description.to && bytes[end] != 0) {
        end++;
      }
      if (end == description.to) {
        throw new CredentialsException("The label of a JUMBF box does not end");
      }
      label = new String(bytes, labelAt, end - labelAt, StandardCharsets.UTF_8);
    }
    List<SuperBox> boxes = new ArrayList<>();
    List<Content> contents = new ArrayList<>();
    for (int at = description.to; at < box.to; ) {
      Raw next = Raw.at(bytes, at, box.to);
      if (next.type.equals(SUPER)) {
        boxes.add(of(bytes, next, depth + 1));
      } else {
        contents.add(new Content(next.type, Arrays.copyOfRange(bytes, next.from, next.to)));
      }
      at = next.to;
    }
    return new SuperBox(
        kind,
        label,
        List.copyOf(boxes),
        List.copyOf(contents),
        Arrays.copyOfRange(bytes, box.from, box.to));
  }

  /** The box in it of this label. */
  Optional<SuperBox> box(String label) {
    return boxes.stream().filter(box -> box.label.equals(label)).findFirst();
  }

  /** The first content of this type. */
  Optional<byte[]> content(String type) {
    return contents.stream()
        .filter(content -> content.type.equals(type))
        .map(Content::bytes)
        .findFirst();
  }

  /** Where a box's bytes are, without its length and type. */
  private record Raw(String type, int from, int to) {
    static Raw at(byte[] bytes, int at, int end) {
      if (end - at < HEAD) {
        throw new CredentialsException("A JUMBF box ends early, at byte " + at);
      }
      ByteBuffer buffer = ByteBuffer.wrap(bytes);
      long length = Integer.toUnsignedLong(buffer.getInt(at));
      String type = new String(bytes, at + 4, 4, StandardCharsets.ISO_8859_1);
      int head = HEAD;
      if (length == 1 && end - at >= 2 * HEAD) {
        length = buffer.getLong(at + HEAD);
        head = 2 * HEAD;
      } else if (length == 0) {
        length = end - at;
      }
      if (length < head || length > end - at) {
        throw new CredentialsException(
            "The JUMBF box '%s' at byte %d has a length of %d bytes; %d are there"
                .formatted(type, at, length, end - at));
      }
      return new Raw(type, at + head, at + (int) length);
    }
  }
}
