/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

/** Coefficients of a subblock, and what they add to its pixels (RFC 6386, sections 13 and 14). */
final class Vp8Residue {
  private static final int[] ZIGZAG = {0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15};
  private static final int[] BANDS = {0, 1, 2, 3, 6, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7, 0};

  /** Probabilities of the further bits of large values, by their category. */
  private static final int[][] EXTRA = {
    {173, 148, 140},
    {176, 155, 140, 135},
    {180, 157, 141, 134, 130},
    {254, 254, 243, 230, 196, 177, 153, 140, 133, 130, 129}
  };

  /** 35468 and 20091 of 65536 are the transform's sine and cosine, less one. */
  private static final int SINE = 35468;

  private static final int COSINE = 20091;

  private Vp8Residue() {}

  /**
   * Reads the coefficients of a subblock.
   *
   * @param probabilities of 4 types x 8 bands x 3 contexts x 11
   * @param type of the subblock
   * @param context how many of the subblocks above and to the left have coefficients
   * @param first index of the first coefficient
   * @param dc the step of the first coefficient
   * @param ac the step of the others
   * @param out receives the coefficients in rows
   * @return index after the last one that was read
   */
  static int read(
      Vp8Bits bits,
      int[] probabilities,
      int type,
      int context,
      int first,
      int dc,
      int ac,
      int[] out,
      int at) {
    int n = first;
    int p = place(type, n, context);
    while (n < 16) {
      if (bits.bit(probabilities[p]) == 0) {
        return n;
      }
      while (bits.bit(probabilities[p + 1]) == 0) {
        if (++n == 16) {
          return 16;
        }
        p = place(type, n, 0);
      }
      int value = 1;
      int next = 1;
      if (bits.bit(probabilities[p + 2]) == 1) {
        value = large(bits, probabilities, p);
        next = 2;
      }
      int step = n > 0 ? ac : dc;
      // Of 16 bits, whatever a damaged file says.
      out[at + ZIGZAG[n]] = (short) ((bits.flag() ? -value : value) * step);
      n++;
      p = place(type, n, next);
    }
    return 16;
  }

  private static int place(int type, int n, int context) {
    return ((type * 8 + BANDS[n]) * 3 + context) * 11;
  }

  private static int large(Vp8Bits bits, int[] probabilities, int p) {
    if (bits.bit(probabilities[p + 3]) == 0) {
      return bits.bit(probabilities[p + 4]) == 0 ? 2 : 3 + bits.bit(probabilities[p + 5]);
    }
    if (bits.bit(probabilities[p + 6]) == 0) {
      if (bits.bit(probabilities[p + 7]) == 0) {
        return 5 + bits.bit(159);
      }
      int high = bits.bit(165);
      return 7 + 2 * high + bits.bit(145);
    }
    int high = bits.bit(probabilities[p + 8]);
    int category = 2 * high + bits.bit(probabilities[p + 9 + high]);
    int value = 0;
    for (int probability : EXTRA[category]) {
      value = 2 * value + bits.bit(probability);
    }
    return value + 3 + (8 << category);
  }

  /**
   * Gives the first coefficients of the 16 luma subblocks, which have been transformed together.
   */
  static void inverseWalshHadamard(int[] in, int[] out) {
    int[] t = new int[16];
    for (int i = 0; i < 4; i++) {
      int a0 = in[i] + in[12 + i];
      int a1 = in[4 + i] + in[8 + i];
      int a2 = in[4 + i] - in[8 + i];
      int a3 = in[i] - in[12 + i];
      t[i] = a0 + a1;
      t[8 + i] = a0 - a1;
      t[4 + i] = a3 + a2;
      t[12 + i] = a3 - a2;
    }
    for (int i = 0; i < 4; i++) {
      int dc = t[4 * i] + 3;
      int a0 = dc + t[4 * i + 3];
      int a1 = t[4 * i + 1] + t[4 * i + 2];
      int a2 = t[4 * i + 1] - t[4 * i + 2];
      int a3 = dc - t[4 * i + 3];
      out[64 * i] = (a0 + a1) >> 3;
      out[64 * i + 16] = (a3 + a2) >> 3;
      out[64 * i + 32] = (a0 - a1) >> 3;
      out[64 * i + 48] = (a3 - a2) >> 3;
    }
  }

  /** Adds the inverse cosine transform of 16 coefficients to 4 x 4 pixels. */
  static void add(int[] in, int from, Vp8Plane plane, int first) {
    int[] t = new int[16];
    for (int i = 0; i < 4; i++) {
      int a = in[from + i] + in[from + 8 + i];
      int b = in[from + i] - in[from + 8 + i];
      int c = sine(in[from + 4 + i]) - cosine(in[from + 12 + i]);
      int d = cosine(in[from + 4 + i]) + sine(in[from + 12 + i]);
      t[4 * i] = a + d;
      t[4 * i + 1] = b + c;
      t[4 * i + 2] = b - c;
      t[4 * i + 3] = a - d;
    }
    for (int j = 0; j < 4; j++) {
      int dc = t[j] + 4;
      int a = dc + t[8 + j];
      int b = dc - t[8 + j];
      int c = sine(t[4 + j]) - cosine(t[12 + j]);
      int d = cosine(t[4 + j]) + sine(t[12 + j]);
      int row = first + j * plane.stride;
      plane.set(row, Vp8Plane.clip(plane.get(row) + (a + d >> 3)));
      plane.set(row + 1, Vp8Plane.clip(plane.get(row + 1) + (b + c >> 3)));
      plane.set(row + 2, Vp8Plane.clip(plane.get(row + 2) + (b - c >> 3)));
      plane.set(row + 3, Vp8Plane.clip(plane.get(row + 3) + (a - d >> 3)));
    }
  }

  private static int sine(int value) {
    return value * SINE >> 16;
  }

  private static int cosine(int value) {
    return (value * COSINE >> 16) + value;
  }
}
