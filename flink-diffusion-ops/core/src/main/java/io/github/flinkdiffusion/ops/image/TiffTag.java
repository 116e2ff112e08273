/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.apache.flink.annotation.Internal;

/**
 * A tag of a TIFF file that says nothing about how its pixels are laid out, and is carried from a
 * picture to what is made of it: an artist's name, a sensor's description, a color profile.
 */
@Internal
public final class TiffTag {
  private final int number;
  private final TiffType type;

  /** Its values, big-endian. */
  private final byte[] values;

  TiffTag(int number, TiffType type, byte[] values) {
    this.number = number;
    this.type = type;
    this.values = values;
  }

  /** Which tag, such as 315 for the artist. */
  public int number() {
    return number;
  }

  /** How many values it has. */
  public int count() {
    return values.length / type.bytes();
  }

  /** The characters of a text, without the zero byte at its end; empty for other types. */
  public String text() {
    return type == TiffType.ASCII ? TiffType.text(values) : "";
  }

  TiffType type() {
    return type;
  }

  /** The values in a file's byte order. */
  byte[] values(ByteOrder order) {
    byte[] copy = values.clone();
    if (order == ByteOrder.LITTLE_ENDIAN) {
      type.reverse(ByteBuffer.wrap(copy));
    }
    return copy;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof TiffTag that
        && number == that.number
        && type == that.type
        && Arrays.equals(values, that.values);
  }

  @Override
  public int hashCode() {
    return 31 * number + Arrays.hashCode(values);
  }

  @Override
  public String toString() {
    return "TiffTag[" + number + ", " + count() + " x " + type + "]";
  }
}
