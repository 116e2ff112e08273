/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

/**
 * The inverse wavelet transforms of JPEG 2000 (ITU-T T.800, annex F) on one line whose samples are
 * interleaved: low ones at even places of the image, high ones at odd places.
 */
final class Jpeg2000Wavelet {
  private static final float ALPHA = -1.586134342059924f;
  private static final float BETA = -0.052980118572961f;
  private static final float GAMMA = 0.882911075530934f;
  private static final float DELTA = 0.443506852043971f;
  private static final float K = 1.230174104914001f;

  private Jpeg2000Wavelet() {}

  /**
   * @param odd 1 if the first sample's place is odd, else 0
   */
  static void reversible(int[] line, int length, int odd) {
    if (length == 1) {
      line[0] >>= odd;
      return;
    }
    for (int i = odd; i < length; i += 2) {
      line[i] -= line[before(i)] + line[after(i, length)] + 2 >> 2;
    }
    for (int i = 1 - odd; i < length; i += 2) {
      line[i] += line[before(i)] + line[after(i, length)] >> 1;
    }
  }

  static void irreversible(float[] line, int length, int odd) {
    if (length == 1) {
      line[0] = odd == 1 ? line[0] / 2 : line[0];
      return;
    }
    for (int i = 0; i < length; i++) {
      line[i] *= (i & 1) == odd ? K : 1 / K;
    }
    lift(line, length, odd, DELTA);
    lift(line, length, 1 - odd, GAMMA);
    lift(line, length, odd, BETA);
    lift(line, length, 1 - odd, ALPHA);
  }

  private static void lift(float[] line, int length, int first, float factor) {
    for (int i = first; i < length; i += 2) {
      line[i] -= factor * (line[before(i)] + line[after(i, length)]);
    }
  }

  /** The sample before, mirrored at the line's ends as that behind. */
  private static int before(int i) {
    return i == 0 ? 1 : i - 1;
  }

  private static int after(int i, int length) {
    return i == length - 1 ? length - 2 : i + 1;
  }
}
