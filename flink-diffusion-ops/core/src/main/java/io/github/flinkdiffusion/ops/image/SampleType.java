/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import org.apache.flink.annotation.Internal;

/**
 * How one value stands in a file. A {@link Raster} always holds floats; this says what they are
 * rounded to when they are written.
 *
 * <p>Files also have other types, which are read as the nearest of these that holds their values:
 * fewer than 8 bits as {@link #UINT8}, signed bytes as {@link #INT16}, and whole numbers of 32 bits
 * and floats of 16 or 64 as {@link #FLOAT32} (which keeps 24 bits).
 */
@Internal
public enum SampleType {
  /** 0 to 255. */
  UINT8(8, new ValueRange(0, 255)),
  /** 0 to 65535. */
  UINT16(16, new ValueRange(0, 65535)),
  /** -32768 to 32767. */
  INT16(16, new ValueRange(-32768, 32767)),
  /** Any finite number. */
  FLOAT32(32, new ValueRange(0, 1));

  private final int bits;
  private final ValueRange full;

  SampleType(int bits, ValueRange full) {
    this.bits = bits;
    this.full = full;
  }

  public int bits() {
    return bits;
  }

  public boolean isInteger() {
    return this != FLOAT32;
  }

  /**
   * What a file's numbers mean if nothing else is known: all that the type can hold, and for floats
   * 0 to 1, so that they stand in a raster as they are.
   */
  public ValueRange fullRange() {
    return full;
  }

  /** The number of this type that is nearest to a value; halves go to the even one. */
  double nearest(double value) {
    return isInteger()
        ? Math.rint(Math.max(full.low(), Math.min(full.high(), value)))
        : (float) value;
  }

  /** Whether a sample of this type can be this number. */
  boolean holds(double number) {
    return isInteger() ? nearest(number) == number : Double.compare((float) number, number) == 0;
  }

  /**
   * A number beside one of this type: on the side of a value, or the other side where the value is
   * the number itself or the type ends there.
   */
  double beside(double number, double value) {
    if (isInteger()) {
      double other = value < number ? number - 1 : number + 1;
      return other < full.low() || other > full.high() ? 2 * number - other : other;
    }
    float up = Math.nextUp((float) number);
    float down = Math.nextDown((float) number);
    return value < number && Float.isFinite(down) || !Float.isFinite(up) ? down : up;
  }
}
