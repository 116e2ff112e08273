/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

/**
 * The stored values of a frame, all of a channel before the next. One of the arrays is there.
 *
 * @param whole whole numbers; unsigned ones of 32 bits as an int holds them
 * @param real floating-point numbers
 * @param photometric what they mean, such as YBR_FULL
 */
record DicomSamples(int channels, int[] whole, double[] real, String photometric) {

  DicomSamples withPhotometric(String other) {
    return new DicomSamples(channels, whole, real, other);
  }

  double at(int index, boolean signed) {
    if (whole == null) {
      return real[index];
    }
    return signed ? whole[index] : Integer.toUnsignedLong(whole[index]);
  }
}
