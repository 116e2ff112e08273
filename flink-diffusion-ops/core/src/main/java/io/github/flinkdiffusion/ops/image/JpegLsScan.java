/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.Arrays;

/**
 * A scan of a JPEG-LS file (T.87, annex A): samples from their neighbors and a coded error, whose
 * code follows from the errors before it.
 */
final class JpegLsScan {
  private static final int CONTEXTS = 365;

  private static final int[] RUN_BITS = {
    0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13,
    14, 15
  };

  /**
   * What a file says of its parameters.
   *
   * @param most the largest sample; here and below, 0 is for the default
   * @param t1 to {@code t3}: the thresholds of differences
   * @param reset after how many errors of a context they count half
   */
  record Parameters(int most, int t1, int t2, int t3, int reset) {
    static final Parameters DEFAULTS = new Parameters(0, 0, 0, 0, 0);
  }

  private final int width;
  private final int height;
  private final int[] planes;
  private final int near;
  private final int most;
  private final int range;
  private final int rangeBits;
  private final int limit;
  private int t1;
  private int t2;
  private int t3;
  private final int reset;
  private final int[] sums = new int[CONTEXTS + 2];
  private final int[] biases = new int[CONTEXTS];
  private final int[] corrections = new int[CONTEXTS];
  private final int[] counts = new int[CONTEXTS + 2];
  private final int[] negatives = new int[2];
  private final JpegLsBits bits;

  /**
   * @param near the largest error, 0 for a lossless scan
   * @param planes of all components, to which the samples go
   */
  JpegLsScan(
      Parameters given,
      int precision,
      int near,
      int width,
      int height,
      int[] planes,
      JpegLsBits bits) {
    this.near = near;
    this.width = width;
    this.height = height;
    this.planes = planes;
    this.bits = bits;
    most = given.most() == 0 ? (1 << precision) - 1 : given.most();
    if (most >= 1 << precision || near > Math.min(255, most / 2)) {
      throw JpegLsDecoder.damaged("a largest value of %d and an error of %d".formatted(most, near));
    }
    if (most >= 128) {
      int factor = (Math.min(most, 4095) + 128) / 256;
      t1 = clamped(factor * (3 - 2) + 2 + 3 * near, near + 1);
      t2 = clamped(factor * (7 - 3) + 3 + 5 * near, t1);
      t3 = clamped(factor * (21 - 4) + 4 + 7 * near, t2);
    } else {
      int factor = 256 / (most + 1);
      t1 = clamped(Math.max(2, 3 / factor + 3 * near), near + 1);
      t2 = clamped(Math.max(3, 7 / factor + 5 * near), t1);
      t3 = clamped(Math.max(4, 21 / factor + 7 * near), t2);
    }
    t1 = given.t1() == 0 ? t1 : given.t1();
    t2 = given.t2() == 0 ? t2 : given.t2();
    t3 = given.t3() == 0 ? t3 : given.t3();
    reset = given.reset() == 0 ? 64 : given.reset();
    if (t1 <= near || t2 < t1 || t3 < t2 || t3 > most || reset < 3) {
      throw JpegLsDecoder.damaged(
          "thresholds %d, %d, %d and reset %d".formatted(t1, t2, t3, reset));
    }
    range = (most + 2 * near) / (2 * near + 1) + 1;
    rangeBits = 32 - Integer.numberOfLeadingZeros(range - 1);
    int sampleBits = Math.max(2, 32 - Integer.numberOfLeadingZeros(most));
    limit = 2 * (sampleBits + Math.max(8, sampleBits));
    Arrays.fill(sums, Math.max(2, (range + 32) / 64));
    Arrays.fill(counts, 1);
    Arrays.fill(biases, 0);
    Arrays.fill(corrections, 0);
    Arrays.fill(negatives, 0);
  }

  private int clamped(int value, int least) {
    return value > most || value < least ? least : value;
  }

  /**
   * @param scanned the components, in the order of the scan
   */
  void byLine(int[] scanned) {
    int[] runs = new int[scanned.length];
    // One more sample on either side.
    int[][] above = new int[scanned.length][width + 2];
    int[][] line = new int[scanned.length][width + 2];
    for (int y = 0; y < height; y++) {
      for (int c = 0; c < scanned.length; c++) {
        int[] before = above[c];
        int[] now = line[c];
        now[0] = before[1];
        before[width + 1] = before[width];
        runs[c] = line(before, now, runs[c]);
        System.arraycopy(now, 1, planes, (scanned[c] * height + y) * width, width);
        above[c] = now;
        line[c] = before;
      }
    }
  }

  private int line(int[] above, int[] line, int runIndex) {
    int run = runIndex;
    int x = 1;
    while (x <= width) {
      int a = line[x - 1];
      int b = above[x];
      int c = above[x - 1];
      int d = above[x + 1];
      if (Math.abs(d - b) > near || Math.abs(b - c) > near || Math.abs(c - a) > near) {
        line[x] = regular(context(d - b, b - c, c - a), a, b, c);
        x++;
        continue;
      }
      while (bits.bit() == 1) {
        int full = 1 << RUN_BITS[run];
        int length = Math.min(full, width + 1 - x);
        Arrays.fill(line, x, x + length, a);
        x += length;
        if (length == full) {
          run = Math.min(31, run + 1);
        }
        if (x > width) {
          break;
        }
      }
      if (x > width) {
        break;
      }
      int length = bits.read(RUN_BITS[run]);
      if (length > width - x) {
        throw JpegLsDecoder.damaged("a run reaches over the end of a line");
      }
      Arrays.fill(line, x, x + length, a);
      x += length;
      b = above[x];
      int kind = Math.abs(a - b) <= near ? 1 : 0;
      int error = interruption(kind, run);
      line[x] = kind == 1 ? restored(a, error) : restored(b, a > b ? -error : error);
      x++;
      run = Math.max(0, run - 1);
    }
    return run;
  }

  /** As {@link #byLine}, for components whose samples take turns. */
  void bySample(int[] scanned) {
    int count = scanned.length;
    int[][] above = new int[count][width + 2];
    int[][] line = new int[count][width + 2];
    int run = 0;
    for (int y = 0; y < height; y++) {
      for (int c = 0; c < count; c++) {
        line[c][0] = above[c][1];
        above[c][width + 1] = above[c][width];
      }
      int x = 1;
      while (x <= width) {
        if (!isFlat(above, line, x)) {
          for (int c = 0; c < count; c++) {
            int a = line[c][x - 1];
            int b = above[c][x];
            int corner = above[c][x - 1];
            line[c][x] =
                regular(context(above[c][x + 1] - b, b - corner, corner - a), a, b, corner);
          }
          x++;
          continue;
        }
        while (bits.bit() == 1) {
          int full = 1 << RUN_BITS[run];
          int length = Math.min(full, width + 1 - x);
          for (int c = 0; c < count; c++) {
            Arrays.fill(line[c], x, x + length, line[c][x - 1]);
          }
          x += length;
          if (length == full) {
            run = Math.min(31, run + 1);
          }
          if (x > width) {
            break;
          }
        }
        if (x > width) {
          break;
        }
        int length = bits.read(RUN_BITS[run]);
        if (length > width - x) {
          throw JpegLsDecoder.damaged("a run reaches over the end of a line");
        }
        for (int c = 0; c < count; c++) {
          Arrays.fill(line[c], x, x + length, line[c][x - 1]);
        }
        x += length;
        for (int c = 0; c < count; c++) {
          int a = line[c][x - 1];
          int b = above[c][x];
          int error = interruption(0, run);
          line[c][x] = restored(b, a > b ? -error : error);
        }
        x++;
        run = Math.max(0, run - 1);
      }
      for (int c = 0; c < count; c++) {
        System.arraycopy(line[c], 1, planes, (scanned[c] * height + y) * width, width);
        int[] swap = above[c];
        above[c] = line[c];
        line[c] = swap;
      }
    }
  }

  private boolean isFlat(int[][] above, int[][] line, int x) {
    for (int c = 0; c < above.length; c++) {
      int b = above[c][x];
      int corner = above[c][x - 1];
      if (Math.abs(above[c][x + 1] - b) > near
          || Math.abs(b - corner) > near
          || Math.abs(corner - line[c][x - 1]) > near) {
        return false;
      }
    }
    return true;
  }

  private int context(int one, int two, int three) {
    return 81 * quantized(one) + 9 * quantized(two) + quantized(three);
  }

  private int quantized(int difference) {
    int size = Math.abs(difference);
    int level = size >= t3 ? 4 : size >= t2 ? 3 : size >= t1 ? 2 : size > near ? 1 : 0;
    return difference < 0 ? -level : level;
  }

  /** T.87, A.4 to A.6. */
  private int regular(int signedContext, int a, int b, int c) {
    // Of levels of -4 to 4 the first that is not 0 decides the sign of the sum.
    int sign = signedContext < 0 ? -1 : 1;
    int q = Math.abs(signedContext);
    int predicted =
        c >= Math.max(a, b) ? Math.min(a, b) : c <= Math.min(a, b) ? Math.max(a, b) : a + b - c;
    predicted = Math.max(0, Math.min(most, predicted + sign * corrections[q]));
    int k = 0;
    while ((long) counts[q] << k < sums[q]) {
      k++;
    }
    int mapped = golomb(k, limit);
    int error = (mapped & 1) == 0 ? mapped / 2 : -(mapped + 1) / 2;
    if (near == 0 && k == 0 && 2 * biases[q] <= -counts[q]) {
      error = -(error + 1);
    }
    update(q, error);
    return restored(predicted, sign * error);
  }

  private void update(int q, int error) {
    biases[q] += error * (2 * near + 1);
    sums[q] += Math.abs(error);
    if (counts[q] == reset) {
      sums[q] >>= 1;
      biases[q] = biases[q] >= 0 ? biases[q] >> 1 : -(1 - biases[q] >> 1);
      counts[q] >>= 1;
    }
    counts[q]++;
    if (biases[q] <= -counts[q]) {
      biases[q] += counts[q];
      corrections[q] = Math.max(-128, corrections[q] - 1);
      biases[q] = Math.max(biases[q], -counts[q] + 1);
    } else if (biases[q] > 0) {
      biases[q] -= counts[q];
      corrections[q] = Math.min(127, corrections[q] + 1);
      biases[q] = Math.min(biases[q], 0);
    }
  }

  /** T.87, A.7.2: the error of the sample that ends a run. */
  private int interruption(int kind, int run) {
    int q = CONTEXTS + kind;
    int sum = kind == 0 ? sums[q] : sums[q] + (counts[q] >> 1);
    int k = 0;
    while ((long) counts[q] << k < sum) {
      k++;
    }
    int mapped = golomb(k, limit - RUN_BITS[run] - 1);
    int folded = mapped + kind;
    boolean odd = (folded & 1) == 1;
    int size = (folded + 1) / 2;
    boolean manyNegative = k != 0 || 2 * negatives[kind] >= counts[q];
    int error = manyNegative == odd ? -size : size;
    if (error < 0) {
      negatives[kind]++;
    }
    sums[q] += mapped + 1 - kind >> 1;
    if (counts[q] == reset) {
      sums[q] >>= 1;
      counts[q] >>= 1;
      negatives[kind] >>= 1;
    }
    counts[q]++;
    return error;
  }

  /** T.87, A.5.3. */
  private int golomb(int k, int longest) {
    if (k > 24) {
      throw JpegLsDecoder.damaged("a code of more bits than there can be");
    }
    int zeros = 0;
    int unary = longest - rangeBits - 1;
    while (bits.bit() == 0) {
      if (++zeros > unary) {
        throw JpegLsDecoder.damaged("a code of more bits than there can be");
      }
    }
    return zeros < unary ? zeros << k | bits.read(k) : bits.read(rangeBits) + 1;
  }

  /** A sample from what was predicted and the error, which counts in steps and wraps around. */
  private int restored(int predicted, int error) {
    int step = 2 * near + 1;
    int value = predicted + error * step;
    if (value < -near) {
      value += range * step;
    } else if (value > most + near) {
      value -= range * step;
    }
    return Math.max(0, Math.min(most, value));
  }
}
