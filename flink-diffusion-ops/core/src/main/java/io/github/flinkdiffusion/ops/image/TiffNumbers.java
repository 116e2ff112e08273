/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.ByteBuffer;
import java.util.Locale;
import java.util.OptionalDouble;

/**
 * How a TIFF file writes the numbers of its samples.
 *
 * @param format unsigned, signed or floating, as {@link Tiff} has it
 * @param bits of a sample
 */
record TiffNumbers(int format, int bits) {

  SampleType type() {
    if (format == Tiff.FLOATING || bits > 16) {
      return SampleType.FLOAT32;
    }
    if (format == Tiff.SIGNED) {
      return SampleType.INT16;
    }
    return bits > 8 ? SampleType.UINT16 : SampleType.UINT8;
  }

  /** All numbers there are; 0 to 1 for floats. */
  ValueRange range() {
    // Fewer than 8 bits are stretched over 8, as in PNG files; 9 to 15 stay what they are.
    boolean unsigned = type().isInteger() && format != Tiff.SIGNED;
    return bits < 16 && unsigned ? ValueRange.ofBits(bits) : type().fullRange();
  }

  /** The number of a sample in the file. */
  double number(ByteBuffer values, byte[] block, int rowAt, int index) {
    return switch (format) {
      case Tiff.FLOATING ->
          switch (bits) {
            case 16 -> SmallFloats.ofHalf(values.getShort(rowAt + 2 * index));
            case 24 -> SmallFloats.of24(block, rowAt + 3 * index, values.order());
            case 32 -> values.getFloat(rowAt + 4 * index);
            default -> values.getDouble(rowAt + 8 * index);
          };
      case Tiff.SIGNED ->
          switch (bits) {
            case 8 -> block[rowAt + index];
            case 16 -> values.getShort(rowAt + 2 * index);
            case 32 -> values.getInt(rowAt + 4 * index);
            default -> values.getLong(rowAt + 8 * index);
          };
      default ->
          switch (bits) {
            case 8 -> block[rowAt + index] & 0xFF;
            case 16 -> values.getShort(rowAt + 2 * index) & 0xFFFF;
            case 32 -> Integer.toUnsignedLong(values.getInt(rowAt + 4 * index));
            case 64 -> unsigned(values.getLong(rowAt + 8 * index));
            default -> packedBits(block, rowAt, (long) index * bits);
          };
    };
  }

  /** Numbers that no bytes hold stand one after the other, the first bit of a byte first. */
  private double packedBits(byte[] block, int rowAt, long begin) {
    long number = 0;
    long bit = begin;
    int left = bits;
    while (left > 0) {
      int inByte = (int) (bit % 8);
      int take = Math.min(left, 8 - inByte);
      int part = (block[rowAt + (int) (bit / 8)] & 0xFF) >>> 8 - inByte - take & (1 << take) - 1;
      number = number << take | part;
      bit += take;
      left -= take;
    }
    return number;
  }

  private static double unsigned(long number) {
    return number >= 0 ? number : (number >>> 1) * 2.0;
  }

  /**
   * The number for no data that a text says, as GDAL reads it: one that no sample can equal says
   * nothing.
   */
  OptionalDouble noData(String text) {
    OptionalDouble said = number(text.strip());
    if (said.isEmpty()) {
      return said;
    }
    double number = said.getAsDouble();
    if (format == Tiff.FLOATING) {
      return OptionalDouble.of(bits == 64 ? number : toFloat(number));
    }
    double low = format == Tiff.SIGNED ? -Math.scalb(1.0, bits - 1) : 0;
    double high = Math.scalb(1.0, format == Tiff.SIGNED ? bits - 1 : bits) - 1;
    boolean possible = number == Math.rint(number) && low <= number && number <= high;
    return possible ? said : OptionalDouble.empty();
  }

  private static OptionalDouble number(String text) {
    switch (text.toLowerCase(Locale.ROOT)) {
      case "nan", "+nan", "-nan":
        return OptionalDouble.of(Double.NaN);
      case "inf", "+inf", "infinity":
        return OptionalDouble.of(Double.POSITIVE_INFINITY);
      case "-inf", "-infinity":
        return OptionalDouble.of(Double.NEGATIVE_INFINITY);
      default:
        try {
          return OptionalDouble.of(Double.parseDouble(text));
        } catch (NumberFormatException e) {
          return OptionalDouble.empty();
        }
    }
  }

  /** The nearest float, which of finite numbers is finite. */
  static double toFloat(double number) {
    return Double.isFinite(number)
        ? (float) Math.max(-Float.MAX_VALUE, Math.min(Float.MAX_VALUE, number))
        : number;
  }
}
