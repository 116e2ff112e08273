/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import java.util.Arrays;
import java.util.BitSet;
import java.util.function.IntPredicate;

/**
 * A connected set of pixels as horizontal runs. Found run by run with a list of what is still to be
 * looked around, which is the result, too: no recursion, and memory by the outline's length, not by
 * the area.
 */
final class Runs {
  private int[] values = new int[48];
  private int count;

  /**
   * All pixels that are connected to one.
   *
   * @param width of the picture
   * @param height of the picture
   * @param start a pixel, {@code y * width + x}, that is a member
   * @param members which pixels count
   * @param taken pixels that are in a set already; those found are added
   * @param diagonally whether pixels that share a corner alone are connected
   */
  static Runs connected(
      int width, int height, int start, IntPredicate members, BitSet taken, boolean diagonally) {
    Runs runs = new Runs();
    IntPredicate free = pixel -> !taken.get(pixel) && members.test(pixel);
    runs.take(start, width, free, taken);
    int reach = diagonally ? 1 : 0;
    for (int i = 0; i < runs.count; i++) {
      int y = runs.y(i);
      int from = Math.max(0, runs.left(i) - reach);
      int to = Math.min(width - 1, runs.right(i) + reach);
      for (int next = y - 1; next <= y + 1; next += 2) {
        if (next < 0 || next >= height) {
          continue;
        }
        for (int x = from; x <= to; x++) {
          if (free.test(next * width + x)) {
            x = runs.take(next * width + x, width, free, taken);
          }
        }
      }
    }
    return runs;
  }

  /** Adds the whole run of free pixels around one; returns its last x. */
  private int take(int pixel, int width, IntPredicate free, BitSet taken) {
    int row = pixel / width * width;
    int left = pixel;
    while (left > row && free.test(left - 1)) {
      left--;
    }
    int right = pixel;
    while (right < row + width - 1 && free.test(right + 1)) {
      right++;
    }
    taken.set(left, right + 1);
    if (3 * count == values.length) {
      values = Arrays.copyOf(values, 2 * values.length);
    }
    values[3 * count] = row / width;
    values[3 * count + 1] = left - row;
    values[3 * count + 2] = right - row;
    count++;
    return right - row;
  }

  int count() {
    return count;
  }

  int y(int run) {
    return values[3 * run];
  }

  /** First pixel of a run. */
  int left(int run) {
    return values[3 * run + 1];
  }

  /** Last pixel of a run. */
  int right(int run) {
    return values[3 * run + 2];
  }

  /** Pixels of all runs. */
  long area() {
    long area = 0;
    for (int i = 0; i < count; i++) {
      area += right(i) - left(i) + 1;
    }
    return area;
  }

  /** Smallest rectangle around all of them. */
  Box box() {
    int top = Integer.MAX_VALUE;
    int bottom = 0;
    int first = Integer.MAX_VALUE;
    int last = 0;
    for (int i = 0; i < count; i++) {
      top = Math.min(top, y(i));
      bottom = Math.max(bottom, y(i));
      first = Math.min(first, left(i));
      last = Math.max(last, right(i));
    }
    return new Box(first, top, last - first + 1.0, bottom - top + 1.0);
  }
}
