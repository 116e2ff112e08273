/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** A small CT image as a DICOM file. */
final class CtFile {
  private static final int SIDE = 16;
  private static final String CT = "1.2.840.10008.5.1.4.1.1.2";
  private static final String IMPLICIT = "1.2.840.10008.1.2";

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();

  private CtFile() {}

  /**
   * A slice.
   *
   * @param series the series' UID
   * @param z where it lies, in millimetres
   */
  static byte[] of(String series, int z) {
    String instance = series + "." + (z + 1);
    CtFile file = new CtFile();
    file.out.writeBytes(new byte[128]);
    file.out.writeBytes("DICM".getBytes(StandardCharsets.US_ASCII));
    file.meta(0x0010, IMPLICIT);
    file.text(0x00080016, CT);
    file.text(0x00080018, instance);
    file.text(0x00080060, "CT");
    file.text(0x00100010, "Doe^Jane");
    file.text(0x0020000D, "1.2.3.1");
    file.text(0x0020000E, series);
    file.text(0x00200032, "0\\0\\" + z);
    file.text(0x00200037, "1\\0\\0\\0\\1\\0");
    file.text(0x00200052, "1.2.3.9");
    file.number(0x00280002, 1);
    file.text(0x00280004, "MONOCHROME2");
    file.number(0x00280010, SIDE);
    file.number(0x00280011, SIDE);
    file.text(0x00280030, "0.5\\0.5");
    file.number(0x00280100, 16);
    file.number(0x00280101, 16);
    file.number(0x00280102, 15);
    file.number(0x00280103, 0);
    file.text(0x00281052, "-1024");
    file.text(0x00281053, "1");
    ByteBuffer pixels = ByteBuffer.allocate(2 * SIDE * SIDE).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < SIDE * SIDE; i++) {
      pixels.putShort((short) (1000 + 10 * z + i));
    }
    file.element(0x7FE00010, pixels.array());
    return file.out.toByteArray();
  }

  /** The transfer syntax, which is written in explicit VR. */
  private void meta(int element, String uid) {
    byte[] value = padded(uid);
    out.writeBytes(
        ByteBuffer.allocate(8 + value.length)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putShort((short) 2)
            .putShort((short) element)
            .put((byte) 'U')
            .put((byte) 'I')
            .putShort((short) value.length)
            .put(value)
            .array());
  }

  private static byte[] padded(String text) {
    return (text.length() % 2 == 0 ? text : text + (text.matches("[0-9.]+") ? '\0' : ' '))
        .getBytes(StandardCharsets.US_ASCII);
  }

  private void text(int tag, String value) {
    element(tag, padded(value));
  }

  private void number(int tag, int value) {
    element(
        tag, ByteBuffer.allocate(2).order(ByteOrder.LITTLE_ENDIAN).putShort((short) value).array());
  }

  private void element(int tag, byte[] value) {
    out.writeBytes(
        ByteBuffer.allocate(8 + value.length)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putShort((short) (tag >>> 16))
            .putShort((short) tag)
            .putInt(value.length)
            .put(value)
            .array());
  }
}
