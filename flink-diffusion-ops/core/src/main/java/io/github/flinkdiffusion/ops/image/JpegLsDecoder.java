/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.Arrays;

/**
 * JPEG-LS files (ITU-T T.87), lossless and near-lossless, of 2 to 16 bits, with components in one
 * scan each, by line or by sample. Mapping tables and restarts are refused.
 */
final class JpegLsDecoder {
  private static final int MOST_COMPONENTS = 4;
  private static final int CONTEXTS = 365;

  private static final int[] RUN_BITS = {
    0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13,
    14, 15
  };

  /** Bits behind a byte of ones have a zero before them. */
  private static final class Bits {
    private final byte[] file;
    private int at;
    private int bits;
    private int count;
    private boolean afterOnes;

    Bits(byte[] file, int at) {
      this.file = file;
      this.at = at;
    }

    int bit() {
      if (count == 0) {
        int next = at < file.length ? file[at] & 0xFF : 0xFF;
        if (at >= file.length || afterOnes && next > 0x7F || isMarker(next)) {
          throw new ImageException("Truncated JPEG-LS data: a scan ends at byte %d".formatted(at));
        }
        at++;
        bits = next;
        count = afterOnes ? 7 : 8;
        afterOnes = next == 0xFF;
      }
      count--;
      return bits >> count & 1;
    }

    private boolean isMarker(int next) {
      return next == 0xFF && (at + 1 >= file.length || (file[at + 1] & 0x80) != 0);
    }

    int read(int length) {
      int value = 0;
      for (int i = 0; i < length; i++) {
        value = value << 1 | bit();
      }
      return value;
    }

    /** The place of the marker behind the scan. */
    int end() {
      // The encoder ends a scan with a byte that is no byte of ones.
      return afterOnes && at < file.length && (file[at] & 0x80) == 0 ? at + 1 : at;
    }
  }

  private final byte[] file;
  private final int mostWidth;
  private final int mostHeight;
  private int at;
  private int precision;
  private int width;
  private int height;
  private int[] ids = new int[0];
  private int[] planes;
  private boolean[] decoded;

  // Parameters, 0 for their defaults.
  private int givenMost;
  private int givenT1;
  private int givenT2;
  private int givenT3;
  private int givenReset;

  // Of the scan.
  private int near;
  private int most;
  private int range;
  private int rangeBits;
  private int limit;
  private int t1;
  private int t2;
  private int t3;
  private int reset;
  private final int[] sums = new int[CONTEXTS + 2];
  private final int[] biases = new int[CONTEXTS];
  private final int[] corrections = new int[CONTEXTS];
  private final int[] counts = new int[CONTEXTS + 2];
  private final int[] negatives = new int[2];
  private Bits bits;

  private JpegLsDecoder(byte[] file, int mostWidth, int mostHeight) {
    this.file = file;
    this.mostWidth = mostWidth;
    this.mostHeight = mostHeight;
  }

  /**
   * @param mostWidth and {@code mostHeight}: a file that says more is refused
   */
  static JpegDecoder.Image decode(byte[] file, int mostWidth, int mostHeight) {
    return new JpegLsDecoder(file, mostWidth, mostHeight).image();
  }

  private int word(int place) {
    return (file[place] & 0xFF) << 8 | file[place + 1] & 0xFF;
  }

  private static ImageException damaged(String what) {
    return new ImageException("Corrupt JPEG-LS data: " + what);
  }

  private JpegDecoder.Image image() {
    if (file.length < 4 || word(0) != 0xFFD8) {
      throw damaged("it does not begin as such");
    }
    at = 2;
    while (true) {
      while (at + 1 < file.length && word(at) == 0xFFFF) {
        at++;
      }
      if (at + 4 > file.length || (file[at] & 0xFF) != 0xFF) {
        throw damaged("a marker is expected at byte " + at);
      }
      int marker = file[at + 1] & 0xFF;
      int length = word(at + 2);
      at += 4;
      int end = at + length - 2;
      if (marker == 0xD9 || length < 2 || end > file.length) {
        throw damaged("it ends too early");
      }
      switch (marker) {
        case 0xF7 -> frame(end);
        case 0xF8 -> parameters(end);
        case 0xDA -> {
          end = scan(end);
          if (allDecoded()) {
            return new JpegDecoder.Image(width, height, ids.length, precision, planes);
          }
        }
        case 0xDD -> {
          need(2, end);
          if (word(at) != 0) {
            throw new ImageException("JPEG-LS data with restarts; none are supported");
          }
        }
        case 0xE8 -> {
          if (length >= 7
              && new String(file, at, 4, DicomDataSet.LATIN).equals("mrfx")
              && file[at + 4] != 0) {
            throw new ImageException(
                "JPEG-LS data with color transform %d; 0 is supported".formatted(file[at + 4]));
          }
        }
        default -> {}
      }
      at = end;
    }
  }

  private boolean allDecoded() {
    for (boolean one : decoded) {
      if (!one) {
        return false;
      }
    }
    return true;
  }

  private void need(int bytes, int end) {
    if (bytes > end - at) {
      throw damaged("a segment is too short");
    }
  }

  private void frame(int end) {
    need(6, end);
    if (ids.length > 0) {
      throw damaged("it has two frames");
    }
    precision = file[at] & 0xFF;
    height = word(at + 1);
    width = word(at + 3);
    int count = file[at + 5] & 0xFF;
    if (width < 1 || height < 1 || width > mostWidth || height > mostHeight) {
      throw new ImageException(
          "Corrupt DICOM file: JPEG-LS data of %d x %d pixels in a frame of %d x %d"
              .formatted(width, height, mostWidth, mostHeight));
    }
    if (precision < 2 || precision > 16 || count < 1 || count > MOST_COMPONENTS) {
      throw new ImageException(
          "JPEG-LS data of %d components of %d bits; 1 to 4 of 2 to 16 bits are supported"
              .formatted(count, precision));
    }
    at += 6;
    need(3 * count, end);
    ids = new int[count];
    for (int i = 0; i < count; i++) {
      ids[i] = file[at + 3 * i] & 0xFF;
      if (file[at + 3 * i + 1] != 0x11) {
        throw new ImageException(
            "JPEG-LS data whose components differ in size; the same is supported");
      }
    }
    planes = new int[count * width * height];
    decoded = new boolean[count];
  }

  private void parameters(int end) {
    need(1, end);
    int kind = file[at];
    if (kind != 1) {
      throw new ImageException(
          "JPEG-LS data with parameters of kind %d; those of kind 1 are supported".formatted(kind));
    }
    need(11, end);
    givenMost = word(at + 1);
    givenT1 = word(at + 3);
    givenT2 = word(at + 5);
    givenT3 = word(at + 7);
    givenReset = word(at + 9);
  }

  private int scan(int end) {
    need(1, end);
    int count = file[at] & 0xFF;
    need(4 + 2 * count, end);
    if (count < 1 || count > ids.length) {
      throw damaged("a scan of %d of %d components".formatted(count, ids.length));
    }
    int[] scanned = new int[count];
    for (int i = 0; i < count; i++) {
      int id = file[at + 1 + 2 * i] & 0xFF;
      if (file[at + 2 + 2 * i] != 0) {
        throw new ImageException("JPEG-LS data with mapping tables; none are supported");
      }
      scanned[i] = -1;
      for (int c = 0; c < ids.length; c++) {
        if (ids[c] == id && !decoded[c]) {
          scanned[i] = c;
          decoded[c] = true;
          break;
        }
      }
      if (scanned[i] < 0) {
        throw damaged("a scan names component " + id);
      }
    }
    near = file[at + 1 + 2 * count] & 0xFF;
    int interleave = file[at + 2 + 2 * count] & 0xFF;
    int transform = file[at + 3 + 2 * count] & 0xFF;
    if (interleave > 2 || interleave == 0 && count != 1 || transform != 0) {
      throw new ImageException(
          "JPEG-LS data of %d components interleaved as %d, with point transform %d; 0 (one component), 1 and 2, without a transform, are supported"
              .formatted(count, interleave, transform));
    }
    begin(end);
    if (interleave == 2 && count > 1) {
      bySample(scanned);
    } else {
      byLine(scanned);
    }
    return bits.end();
  }

  /** T.87, A.2.1 and C.2.4.1.1.1. */
  private void begin(int place) {
    most = givenMost == 0 ? (1 << precision) - 1 : givenMost;
    if (most >= 1 << precision || near > Math.min(255, most / 2)) {
      throw damaged("a largest value of %d and an error of %d".formatted(most, near));
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
    t1 = givenT1 == 0 ? t1 : givenT1;
    t2 = givenT2 == 0 ? t2 : givenT2;
    t3 = givenT3 == 0 ? t3 : givenT3;
    reset = givenReset == 0 ? 64 : givenReset;
    if (t1 <= near || t2 < t1 || t3 < t2 || t3 > most || reset < 3) {
      throw damaged("thresholds %d, %d, %d and reset %d".formatted(t1, t2, t3, reset));
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
    bits = new Bits(file, place);
  }

  private int clamped(int value, int least) {
    return value > most || value < least ? least : value;
  }

  private void byLine(int[] scanned) {
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
        throw damaged("a run reaches over the end of a line");
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

  private void bySample(int[] scanned) {
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
          throw damaged("a run reaches over the end of a line");
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
      throw damaged("a code of more bits than there can be");
    }
    int zeros = 0;
    int unary = longest - rangeBits - 1;
    while (bits.bit() == 0) {
      if (++zeros > unary) {
        throw damaged("a code of more bits than there can be");
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
