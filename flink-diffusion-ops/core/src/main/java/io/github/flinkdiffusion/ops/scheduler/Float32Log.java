/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

/**
 * The natural logarithm in float32 as NumPy computes it on x86 processors: a ratio of two
 * polynomials of degree 5, right to a few units in the last place.
 *
 * <p>diffusers compares logarithms of sigmas in float32 with one of the same sigma in float64, and
 * cuts the timestep that comes of it to a whole number: which of 998 and 999 it is follows from the
 * sign of this function's error, so a better logarithm is another image.
 */
final class Float32Log {

  private static final float SQRT_2 = 1.41421356f;
  private static final float LN_2 = 0.693147181f;
  private static final float[] NUMERATOR = {
    0,
    9.999999999999998702752e-01f,
    2.112677543073053063722e+00f,
    1.480000633576506585156e+00f,
    3.808837741388407920751e-01f,
    2.589979117907922693523e-02f
  };
  private static final float[] DENOMINATOR = {
    1,
    2.612677543073109236779e+00f,
    2.453006071784736363091e+00f,
    9.864942958519418960339e-01f,
    1.546476374983906719538e-01f,
    5.875095403124574342950e-03f
  };

  private Float32Log() {}

  /**
   * @param value positive and normal; others get what {@link Math#log} makes of them
   */
  static float log(float value) {
    if (!(value >= Float.MIN_NORMAL && value <= Float.MAX_VALUE)) {
      return (float) Math.log(value);
    }
    int exponent = Math.getExponent(value);
    float mantissa = Math.scalb(value, -exponent);
    if (mantissa > SQRT_2) {
      mantissa *= 0.5f;
      exponent++;
    }
    float x = mantissa - 1;
    return Math.fma(exponent, LN_2, polynomial(NUMERATOR, x) / polynomial(DENOMINATOR, x));
  }

  private static float polynomial(float[] coefficients, float x) {
    float sum = coefficients[coefficients.length - 1];
    for (int i = coefficients.length - 2; i >= 0; i--) {
      sum = Math.fma(sum, x, coefficients[i]);
    }
    return sum;
  }
}
