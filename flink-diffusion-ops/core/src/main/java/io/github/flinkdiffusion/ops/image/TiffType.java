/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/** The types of a TIFF tag's values, by their code in the file. */
enum TiffType {
  BYTE(1, 1, 1),
  ASCII(2, 1, 1),
  SHORT(3, 2, 2),
  LONG(4, 4, 4),
  RATIONAL(5, 8, 4),
  SIGNED_BYTE(6, 1, 1),
  UNDEFINED(7, 1, 1),
  SIGNED_SHORT(8, 2, 2),
  SIGNED_LONG(9, 4, 4),
  SIGNED_RATIONAL(10, 8, 4),
  FLOAT(11, 4, 4),
  DOUBLE(12, 8, 8),
  LONG8(16, 8, 8),
  SIGNED_LONG8(17, 8, 8);

  private final int code;
  private final int bytes;

  /** Bytes that belong together when byte orders change; a rational number is two of them. */
  private final int word;

  TiffType(int code, int bytes, int word) {
    this.code = code;
    this.bytes = bytes;
    this.word = word;
  }

  int code() {
    return code;
  }

  int bytes() {
    return bytes;
  }

  /** Empty for types that this class does not know, which readers have to skip. */
  static Optional<TiffType> ofCode(int code) {
    for (TiffType type : values()) {
      if (type.code == code) {
        return Optional.of(type);
      }
    }
    return Optional.empty();
  }

  /** Turns values from one byte order to the other, in place. */
  void reverse(ByteBuffer values) {
    byte[] array = values.array();
    for (int at = 0; at + word <= array.length; at += word) {
      for (int i = 0; i < word / 2; i++) {
        byte swapped = array[at + i];
        array[at + i] = array[at + word - 1 - i];
        array[at + word - 1 - i] = swapped;
      }
    }
  }

  /** Value number {@code index} as a number; rationals are divided. */
  double number(byte[] values, int index, ByteOrder order) {
    ByteBuffer buffer = ByteBuffer.wrap(values).order(order);
    int at = index * bytes;
    return switch (this) {
      case BYTE, ASCII, UNDEFINED -> buffer.get(at) & 0xFF;
      case SIGNED_BYTE -> buffer.get(at);
      case SHORT -> buffer.getShort(at) & 0xFFFF;
      case SIGNED_SHORT -> buffer.getShort(at);
      case LONG -> Integer.toUnsignedLong(buffer.getInt(at));
      case SIGNED_LONG -> buffer.getInt(at);
      case LONG8, SIGNED_LONG8 -> buffer.getLong(at);
      case FLOAT -> buffer.getFloat(at);
      case DOUBLE -> buffer.getDouble(at);
      case RATIONAL ->
          (double) Integer.toUnsignedLong(buffer.getInt(at))
              / Integer.toUnsignedLong(buffer.getInt(at + 4));
      case SIGNED_RATIONAL -> (double) buffer.getInt(at) / buffer.getInt(at + 4);
    };
  }

  /** Characters up to the first zero byte; UTF-8, of which the standard's ASCII is a part. */
  static String text(byte[] values) {
    int length = 0;
    while (length < values.length && values[length] != 0) {
      length++;
    }
    return new String(values, 0, length, StandardCharsets.UTF_8);
  }
}
