/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.Arrays;

/**
 * Decodes the bit planes of a code block (ITU-T T.800, annexes C and D). One is used for all blocks
 * of an image.
 */
final class Jpeg2000Block {
  static final int BYPASS = 1;
  static final int RESET = 2;
  static final int TERMINATE = 4;
  static final int CAUSAL = 8;
  static final int SYMBOLS = 32;

  /** Which half of a band is high. */
  enum Orientation {
    LL,
    HL,
    LH,
    HH
  }

  private static final int RUN = 17;
  private static final int UNIFORM = 18;

  /** Of a state: its probability, and the states that follow it. */
  private static final int[] QE = {
    0x5601, 0x3401, 0x1801, 0x0AC1, 0x0521, 0x0221, 0x5601, 0x5401, 0x4801, 0x3801, 0x3001, 0x2401,
    0x1C01, 0x1601, 0x5601, 0x5401, 0x5101, 0x4801, 0x3801, 0x3401, 0x3001, 0x2801, 0x2401, 0x2201,
    0x1C01, 0x1801, 0x1601, 0x1401, 0x1201, 0x1101, 0x0AC1, 0x09C1, 0x08A1, 0x0521, 0x0441, 0x02A1,
    0x0221, 0x0141, 0x0111, 0x0085, 0x0049, 0x0025, 0x0015, 0x0009, 0x0005, 0x0001, 0x5601
  };

  private static final int[] MORE = {
    1, 2, 3, 4, 5, 38, 7, 8, 9, 10, 11, 12, 13, 29, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
    27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 45, 46
  };

  private static final int[] LESS = {
    1, 6, 9, 12, 29, 33, 6, 14, 14, 14, 17, 18, 20, 21, 14, 14, 15, 16, 17, 18, 19, 19, 20, 21, 22,
    23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 46
  };

  // Of the arithmetic decoder.
  private byte[] data;
  private int at;
  private int end;
  private int a;
  private int c;
  private int ct;
  private final int[] states = new int[19];
  private final int[] likely = new int[19];

  // Of raw bits.
  private int rawBits;
  private int rawCount;

  // Of the block, with a border of one.
  private int width;
  private int height;
  private int stride;
  private byte[] significant = new byte[0];
  private byte[] negative = new byte[0];
  private byte[] visited = new byte[0];
  private byte[] refined = new byte[0];
  private int[] magnitudes = new int[0];
  private Orientation orientation;
  private int style;

  /** Begins a block. */
  void begin(int blockWidth, int blockHeight, Orientation band, int blockStyle) {
    width = blockWidth;
    height = blockHeight;
    stride = width + 2;
    orientation = band;
    style = blockStyle;
    int size = stride * (height + 2);
    if (significant.length < size) {
      significant = new byte[size];
      negative = new byte[size];
      visited = new byte[size];
      refined = new byte[size];
      magnitudes = new int[size];
    } else {
      Arrays.fill(significant, 0, size, (byte) 0);
      Arrays.fill(negative, 0, size, (byte) 0);
      Arrays.fill(visited, 0, size, (byte) 0);
      Arrays.fill(refined, 0, size, (byte) 0);
      Arrays.fill(magnitudes, 0, size, 0);
    }
    resetStates();
  }

  private void resetStates() {
    Arrays.fill(states, 0);
    Arrays.fill(likely, 0);
    states[0] = 4;
    states[RUN] = 3;
    states[UNIFORM] = 46;
  }

  /** Twice a coefficient, so that the middle of what is not known has a place. */
  int doubled(int x, int y) {
    int i = (y + 1) * stride + x + 1;
    return negative[i] != 0 ? -magnitudes[i] : magnitudes[i];
  }

  /**
   * Decodes passes that share a code.
   *
   * @param first number of the first of them in the block
   * @param planes of the block: its first pass is the third of the uppermost plane
   */
  void passes(byte[] bytes, int from, int to, int first, int count, int planes) {
    boolean raw = isRaw(first);
    data = bytes;
    at = from;
    end = to;
    if (raw) {
      rawBits = 0;
      rawCount = 0;
    } else {
      beginCode();
    }
    for (int pass = first; pass < first + count; pass++) {
      int kind = (pass + 2) % 3;
      int plane = planes - 1 - (pass + 2) / 3;
      switch (kind) {
        case 0 -> significance(plane, raw);
        case 1 -> refinement(plane, raw);
        default -> {
          cleanup(plane);
          if ((style & SYMBOLS) != 0) {
            int symbol = 0;
            for (int i = 0; i < 4; i++) {
              symbol = symbol << 1 | decode(UNIFORM);
            }
            if (symbol != 10) {
              throw new ImageException(
                  "Corrupt JPEG 2000 data: a mark behind a plane is %d".formatted(symbol));
            }
          }
          Arrays.fill(visited, 0, stride * (height + 2), (byte) 0);
        }
      }
      if ((style & RESET) != 0) {
        resetStates();
      }
    }
  }

  /** Whether a pass is without a code: all but cleanups, from the fifth plane on. */
  private boolean isRaw(int pass) {
    return (style & BYPASS) != 0 && pass >= 10 && (pass + 2) % 3 != 2;
  }

  /** How many passes a code has at most that begins with this one. */
  static int most(int pass, int style) {
    if ((style & TERMINATE) != 0) {
      return 1;
    }
    if ((style & BYPASS) != 0) {
      return pass < 10 ? 10 - pass : (pass + 2) % 3 == 2 ? 1 : 2 - (pass + 2) % 3;
    }
    return Integer.MAX_VALUE;
  }

  private void beginCode() {
    c = (at < end ? data[at] & 0xFF : 0xFF) << 16;
    byteIn();
    c <<= 7;
    ct -= 7;
    a = 0x8000;
  }

  private void byteIn() {
    int now = at < end ? data[at] & 0xFF : 0xFF;
    int next = at + 1 < end ? data[at + 1] & 0xFF : 0xFF;
    if (now == 0xFF) {
      if (next > 0x8F) {
        c += 0xFF00;
        ct = 8;
      } else {
        at++;
        c += next << 9;
        ct = 7;
      }
    } else {
      at++;
      c += next << 8;
      ct = 8;
    }
  }

  private int decode(int context) {
    int state = states[context];
    int qe = QE[state];
    int bit;
    a -= qe;
    if (c >>> 16 < qe) {
      // The less likely half, which may be the larger one.
      if (a < qe) {
        bit = likely[context];
        states[context] = MORE[state];
      } else {
        bit = 1 - likely[context];
        unlikely(context, state);
      }
      a = qe;
    } else {
      c -= qe << 16;
      if ((a & 0x8000) != 0) {
        return likely[context];
      }
      if (a < qe) {
        bit = 1 - likely[context];
        unlikely(context, state);
      } else {
        bit = likely[context];
        states[context] = MORE[state];
      }
    }
    do {
      if (ct == 0) {
        byteIn();
      }
      a <<= 1;
      c <<= 1;
      ct--;
    } while ((a & 0x8000) == 0);
    return bit;
  }

  private void unlikely(int context, int state) {
    if (state == 0 || state == 6 || state == 14) {
      likely[context] = 1 - likely[context];
    }
    states[context] = LESS[state];
  }

  private int rawBit() {
    if (rawCount == 0) {
      boolean afterOnes = rawBits == 0xFF;
      rawBits = at < end ? data[at++] & 0xFF : 0xFF;
      rawCount = afterOnes ? 7 : 8;
    }
    rawCount--;
    return rawBits >> rawCount & 1;
  }

  private int below(int i, boolean hidden, byte[] plane) {
    return hidden ? 0 : plane[i];
  }

  /** In causal blocks, nothing is known of the next stripe. */
  private boolean hidesBelow(int y) {
    return (style & CAUSAL) != 0 && (y & 3) == 3;
  }

  private int zeroContext(int i, boolean hidden) {
    byte[] s = significant;
    int h = s[i - 1] + s[i + 1];
    int v = s[i - stride] + below(i + stride, hidden, s);
    int d =
        s[i - stride - 1]
            + s[i - stride + 1]
            + below(i + stride - 1, hidden, s)
            + below(i + stride + 1, hidden, s);
    if (orientation == Orientation.HH) {
      int hv = h + v;
      if (d >= 3) {
        return 8;
      }
      if (d == 2) {
        return hv >= 1 ? 7 : 6;
      }
      return d == 1 ? 3 + Math.min(hv, 2) : Math.min(hv, 2);
    }
    if (orientation == Orientation.HL) {
      int swap = h;
      h = v;
      v = swap;
    }
    if (h == 2) {
      return 8;
    }
    if (h == 1) {
      return v >= 1 ? 7 : d >= 1 ? 6 : 5;
    }
    return v == 2 ? 4 : v == 1 ? 3 : Math.min(d, 2);
  }

  private void sign(int i, boolean hidden, boolean raw) {
    if (raw) {
      negative[i] = (byte) rawBit();
      return;
    }
    int h = Math.max(-1, Math.min(1, direction(i - 1) + direction(i + 1)));
    int v = Math.max(-1, Math.min(1, direction(i - stride) + (hidden ? 0 : direction(i + stride))));
    boolean flip = h < 0 || h == 0 && v < 0;
    int context = 9 + (h == 0 ? Math.abs(v) : 3 + (flip ? -v : v));
    negative[i] = (byte) (decode(context) ^ (flip ? 1 : 0));
  }

  private int direction(int i) {
    return significant[i] == 0 ? 0 : negative[i] != 0 ? -1 : 1;
  }

  private void becomesSignificant(int i, int plane, boolean hidden, boolean raw) {
    sign(i, hidden, raw);
    significant[i] = 1;
    magnitudes[i] = 3 << plane;
  }

  private void significance(int plane, boolean raw) {
    for (int top = 0; top < height; top += 4) {
      for (int x = 0; x < width; x++) {
        for (int y = top; y < Math.min(top + 4, height); y++) {
          int i = (y + 1) * stride + x + 1;
          if (significant[i] != 0) {
            continue;
          }
          boolean hidden = hidesBelow(y);
          int context = zeroContext(i, hidden);
          if (context != 0) {
            visited[i] = 1;
            if ((raw ? rawBit() : decode(context)) == 1) {
              becomesSignificant(i, plane, hidden, raw);
            }
          }
        }
      }
    }
  }

  private void refinement(int plane, boolean raw) {
    // In doubled numbers, half of the plane's worth.
    int half = 1 << plane;
    for (int top = 0; top < height; top += 4) {
      for (int x = 0; x < width; x++) {
        for (int y = top; y < Math.min(top + 4, height); y++) {
          int i = (y + 1) * stride + x + 1;
          if (significant[i] == 0 || visited[i] != 0) {
            continue;
          }
          int bit;
          if (raw) {
            bit = rawBit();
          } else {
            int context = refined[i] != 0 ? 16 : zeroContext(i, hidesBelow(y)) != 0 ? 15 : 14;
            bit = decode(context);
          }
          refined[i] = 1;
          magnitudes[i] += bit == 1 ? half : -half;
        }
      }
    }
  }

  private void cleanup(int plane) {
    for (int top = 0; top < height; top += 4) {
      for (int x = 0; x < width; x++) {
        int y = top;
        boolean found = false;
        if (top + 4 <= height && isQuiet(x, top)) {
          if (decode(RUN) == 0) {
            continue;
          }
          y = top + (decode(UNIFORM) << 1);
          y += decode(UNIFORM);
          found = true;
        }
        for (; y < Math.min(top + 4, height); y++) {
          int i = (y + 1) * stride + x + 1;
          boolean hidden = hidesBelow(y);
          if (found) {
            found = false;
            becomesSignificant(i, plane, hidden, false);
          } else if (significant[i] == 0 && visited[i] == 0) {
            if (decode(zeroContext(i, hidden)) == 1) {
              becomesSignificant(i, plane, hidden, false);
            }
          }
        }
      }
    }
  }

  /** Whether four samples are untouched and have no neighbor that is significant. */
  private boolean isQuiet(int x, int top) {
    for (int y = top; y < top + 4; y++) {
      int i = (y + 1) * stride + x + 1;
      if (significant[i] != 0 || visited[i] != 0 || zeroContext(i, hidesBelow(y)) != 0) {
        return false;
      }
    }
    return true;
  }
}
