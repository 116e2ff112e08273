/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.MathContext;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/** Elements of a DICOM file that is written, explicit and little-endian, in the order of tags. */
final class DicomElements {
  /** Of a value whose length takes 32 bits; the largest number means that it is not known. */
  static final long MOST_BYTES = 0xFFFFFFFEL;

  /**
   * @param bytes null where they are in a file
   */
  private record Value(String type, byte[] bytes, Path file, long length) {
    void writeTo(OutputStream out) throws IOException {
      if (bytes != null) {
        out.write(bytes);
      } else if (Files.copy(file, out) != length) {
        throw new IOException(file + " has not the %d bytes that were written".formatted(length));
      }
    }
  }

  private final SortedMap<Integer, Value> values = new TreeMap<>(Integer::compareUnsigned);

  DicomElements bytes(int tag, String type, byte[] value) {
    values.put(tag, new Value(type, value, null, value.length));
    return this;
  }

  /** A value that stays in a file until the elements are written; its length is even. */
  DicomElements file(int tag, String type, Path file, long length) {
    if (length > MOST_BYTES) {
      throw new ImageException(
          "Element %08X of a DICOM file takes %d bytes; at most %d are possible"
              .formatted(tag, length, MOST_BYTES));
    }
    values.put(tag, new Value(type, null, file, length));
    return this;
  }

  /** A text, which takes an even number of bytes. */
  DicomElements text(int tag, String type, String value) {
    byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
    byte[] even = Arrays.copyOf(bytes, bytes.length + 1 & ~1);
    if (even.length > bytes.length) {
      even[bytes.length] = (byte) (type.equals("UI") ? 0 : ' ');
    }
    return bytes(tag, type, even);
  }

  /** At most 16 characters, as a DS has. */
  static String decimal(double value) {
    String text = Double.toString(value);
    for (int digits = 16; text.length() > 16 && digits > 0; digits--) {
      text = new BigDecimal(value).round(new MathContext(digits)).stripTrailingZeros().toString();
    }
    return text.endsWith(".0") ? text.substring(0, text.length() - 2) : text;
  }

  DicomElements decimals(int tag, double... numbers) {
    StringBuilder text = new StringBuilder();
    for (double number : numbers) {
      text.append(text.isEmpty() ? "" : "\\").append(decimal(number));
    }
    return text(tag, "DS", text.toString());
  }

  DicomElements shorts(int tag, String type, int... numbers) {
    ByteBuffer bytes = ByteBuffer.allocate(2 * numbers.length).order(ByteOrder.LITTLE_ENDIAN);
    for (int number : numbers) {
      bytes.putShort((short) number);
    }
    return bytes(tag, type, bytes.array());
  }

  DicomElements longs(int tag, String type, int... numbers) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * numbers.length).order(ByteOrder.LITTLE_ENDIAN);
    for (int number : numbers) {
      bytes.putInt(number);
    }
    return bytes(tag, type, bytes.array());
  }

  /** Tags as a value. */
  DicomElements tags(int tag, int... named) {
    int[] halves = new int[2 * named.length];
    for (int i = 0; i < named.length; i++) {
      halves[2 * i] = named[i] >>> 16;
      halves[2 * i + 1] = named[i] & 0xFFFF;
    }
    return shorts(tag, "AT", halves);
  }

  DicomElements without(int tag) {
    values.remove(tag);
    return this;
  }

  DicomElements items(int tag, DicomElements... items) {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    for (DicomElements item : items) {
      byte[] bytes = item.encoded();
      all.writeBytes(
          ByteBuffer.allocate(8)
              .order(ByteOrder.LITTLE_ENDIAN)
              .putShort((short) (DicomTag.ITEM >>> 16))
              .putShort((short) DicomTag.ITEM)
              .putInt(bytes.length)
              .array());
      all.writeBytes(bytes);
    }
    return bytes(tag, "SQ", all.toByteArray());
  }

  /** A concept of a coding scheme, as the only item of a sequence. */
  DicomElements code(int tag, String value, String scheme, String meaning) {
    return items(
        tag,
        new DicomElements()
            .text(0x00080100, "SH", value)
            .text(0x00080102, "SH", scheme)
            .text(0x00080104, "LO", meaning));
  }

  private byte[] encoded() {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try {
      writeTo(out);
    } catch (IOException e) {
      throw unreadable(e);
    }
    return out.toByteArray();
  }

  private void writeTo(OutputStream out) throws IOException {
    for (Map.Entry<Integer, Value> element : values.entrySet()) {
      int tag = element.getKey();
      Value value = element.getValue();
      boolean longer = DicomDataSet.hasLongLength(value.type());
      if (!longer && value.length() > 0xFFFF) {
        throw new ImageException(
            "Element %08X of a DICOM file takes %d bytes; at most 65535 are possible"
                .formatted(tag, value.length()));
      }
      ByteBuffer head = ByteBuffer.allocate(longer ? 12 : 8).order(ByteOrder.LITTLE_ENDIAN);
      head.putShort((short) (tag >>> 16)).putShort((short) tag);
      head.put(value.type().getBytes(StandardCharsets.ISO_8859_1));
      if (longer) {
        head.putShort((short) 0).putInt((int) value.length());
      } else {
        head.putShort((short) value.length());
      }
      out.write(head.array());
      value.writeTo(out);
    }
  }

  private static ImageException unreadable(IOException e) {
    return new ImageException("Cannot write a DICOM file: " + e, e);
  }

  /** The whole file, with preamble and mark. */
  byte[] file(String classUid, String instanceUid) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    writeFile(out, classUid, instanceUid);
    return out.toByteArray();
  }

  /** As {@link #file(String, String)}. */
  void writeFile(OutputStream out, String classUid, String instanceUid) {
    byte[] meta =
        new DicomElements()
            .bytes(0x00020001, "OB", new byte[] {0, 1})
            .text(0x00020002, "UI", classUid)
            .text(0x00020003, "UI", instanceUid)
            .text(DicomTag.TRANSFER_SYNTAX, "UI", "1.2.840.10008.1.2.1")
            .text(0x00020012, "UI", uid("flink-diffusion"))
            .text(0x00020013, "SH", "FLINK_DIFFUSION")
            .encoded();
    try {
      out.write(new byte[128]);
      out.write("DICM".getBytes(StandardCharsets.ISO_8859_1));
      out.write(new DicomElements().longs(0x00020000, "UL", meta.length).encoded());
      out.write(meta);
      writeTo(out);
    } catch (IOException e) {
      throw unreadable(e);
    }
  }

  /** A digest of all that is there, so that equal files have equal names and others do not. */
  String digest() {
    MessageDigest sha = sha256();
    try (OutputStream out = new DigestOutputStream(OutputStream.nullOutputStream(), sha)) {
      writeTo(out);
    } catch (IOException e) {
      throw unreadable(e);
    }
    return uid(sha);
  }

  /** A UID that follows from a text: 2.25 and a UUID of its digest (PS3.5, B.2). */
  static String uid(String text) {
    MessageDigest sha = sha256();
    sha.update(text.getBytes(StandardCharsets.UTF_8));
    return uid(sha);
  }

  private static String uid(MessageDigest sha) {
    byte[] uuid = Arrays.copyOf(sha.digest(), 16);
    uuid[6] = (byte) (uuid[6] & 0x0F | 0x80);
    uuid[8] = (byte) (uuid[8] & 0x3F | 0x80);
    return "2.25." + new BigInteger(1, uuid);
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }
}
