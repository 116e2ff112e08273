/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

/** What a block is predicted to be by the pixels above and to the left (RFC 6386, section 12). */
final class Vp8Prediction {
  /** Modes of macroblocks; the first four of subblocks too. */
  static final int DC = 0;

  static final int TM = 1;
  static final int VERTICAL = 2;
  static final int HORIZONTAL = 3;

  /** Further modes of subblocks, named after where the pixels come from. */
  static final int RIGHT_DOWN = 4;

  static final int VERTICAL_RIGHT = 5;
  static final int LEFT_DOWN = 6;
  static final int VERTICAL_LEFT = 7;
  static final int HORIZONTAL_DOWN = 8;
  static final int HORIZONTAL_UP = 9;

  private Vp8Prediction() {}

  /**
   * A macroblock's luma or chroma.
   *
   * @param x of its first pixel
   * @param side 16 or 8
   */
  static void block(Vp8Plane plane, int x, int y, int side, int mode) {
    int first = plane.at(x, y);
    int above = first - plane.stride;
    int corner = plane.get(above - 1);
    int mean = mode == DC ? mean(plane, x, y, side) : 0;
    for (int j = 0; j < side; j++) {
      int row = first + j * plane.stride;
      int left = plane.get(row - 1);
      for (int i = 0; i < side; i++) {
        int value =
            switch (mode) {
              case DC -> mean;
              case VERTICAL -> plane.get(above + i);
              case HORIZONTAL -> left;
              default -> Vp8Plane.clip(left + plane.get(above + i) - corner);
            };
        plane.set(row + i, value);
      }
    }
  }

  /** Of the pixels above and to the left that are in the image; 128 where none is. */
  private static int mean(Vp8Plane plane, int x, int y, int side) {
    int sum = 0;
    int count = 0;
    if (y > 0) {
      for (int i = 0; i < side; i++) {
        sum += plane.get(plane.at(x + i, y - 1));
      }
      count += side;
    }
    if (x > 0) {
      for (int j = 0; j < side; j++) {
        sum += plane.get(plane.at(x - 1, y + j));
      }
      count += side;
    }
    return count == 0 ? 128 : (sum + count / 2) / count;
  }

  /**
   * A subblock of 4 x 4 pixels.
   *
   * @param first of its pixels
   * @param edge the 13 pixels around it from the lowest on the left to the last one above and to
   *     the right: L K J I X A B C D E F G H, as section 12.3 draws them
   */
  static void subblock(Vp8Plane plane, int first, int mode, int[] edge) {
    for (int j = 0; j < 4; j++) {
      for (int i = 0; i < 4; i++) {
        plane.set(first + j * plane.stride + i, subpixel(mode, edge, i, j));
      }
    }
  }

  private static int subpixel(int mode, int[] e, int i, int j) {
    return switch (mode) {
      case DC -> (e[0] + e[1] + e[2] + e[3] + e[5] + e[6] + e[7] + e[8] + 4) >> 3;
      case TM -> Vp8Plane.clip(e[3 - j] + e[5 + i] - e[4]);
      case VERTICAL -> mean3(e, 5 + i);
      case HORIZONTAL -> j == 3 ? (e[1] + 3 * e[0] + 2) >> 2 : mean3(e, 3 - j);
      case RIGHT_DOWN -> mean3(e, 4 + i - j);
      case LEFT_DOWN -> i + j == 6 ? (e[11] + 3 * e[12] + 2) >> 2 : mean3(e, 6 + i + j);
      case VERTICAL_RIGHT -> verticalRight(e, i, j);
      case VERTICAL_LEFT -> verticalLeft(e, i, j);
      case HORIZONTAL_DOWN -> horizontalDown(e, i, j);
      default -> horizontalUp(e, i, j);
    };
  }

  private static int verticalRight(int[] e, int i, int j) {
    int along = 2 * i - j;
    if (along >= 0) {
      return (along & 1) == 0 ? mean2(e, 4 + along / 2) : mean3(e, 4 + (along + 1) / 2);
    }
    return along == -1 ? mean3(e, 4) : mean3(e, 5 - j);
  }

  private static int verticalLeft(int[] e, int i, int j) {
    // The last two of the last column do not follow the others' rule.
    if (i == 3 && j >= 2) {
      return mean3(e, j == 2 ? 10 : 11);
    }
    int from = 5 + i + j / 2;
    return (j & 1) == 0 ? mean2(e, from) : mean3(e, from + 1);
  }

  private static int horizontalDown(int[] e, int i, int j) {
    int along = 2 * j - i;
    if (along >= 0) {
      return (along & 1) == 0 ? mean2(e, 3 - along / 2) : mean3(e, 4 - (along + 1) / 2);
    }
    return along == -1 ? mean3(e, 4) : mean3(e, 3 + i);
  }

  private static int horizontalUp(int[] e, int i, int j) {
    int along = i + 2 * j;
    if (along > 5) {
      return e[0];
    }
    if (along == 5) {
      return (e[1] + 3 * e[0] + 2) >> 2;
    }
    return (along & 1) == 0 ? mean2(e, 2 - along / 2) : mean3(e, 2 - along / 2);
  }

  /** Of a pixel and the next one along the edge. */
  private static int mean2(int[] e, int at) {
    return (e[at] + e[at + 1] + 1) >> 1;
  }

  /** Of a pixel, twice, and its neighbours along the edge. */
  private static int mean3(int[] e, int at) {
    return (e[at - 1] + 2 * e[at] + e[at + 1] + 2) >> 2;
  }
}
