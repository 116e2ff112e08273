/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

/**
 * Smooths the edges of macroblocks and subblocks, each as strongly as its macroblock says (RFC
 * 6386, section 15).
 */
final class Vp8LoopFilter {
  /**
   * How strongly a macroblock is filtered.
   *
   * @param interior limit of the differences beside an edge
   * @param edge limit of the difference across a subblock's edge; zero filters nothing
   * @param variance above which only the two pixels at an edge change
   * @param inner whether subblocks' edges are filtered
   */
  record Strength(int interior, int edge, int variance, boolean inner) {
    static final Strength NONE = new Strength(0, 0, 0, false);

    /**
     * @param level 0 to 63
     * @param sharpness 0 to 7
     */
    static Strength of(int level, int sharpness, boolean inner) {
      if (level == 0) {
        return NONE;
      }
      int interior = level;
      if (sharpness > 0) {
        interior = Math.min(interior >> (sharpness > 4 ? 2 : 1), 9 - sharpness);
      }
      interior = Math.max(1, interior);
      int variance = level >= 40 ? 2 : level >= 15 ? 1 : 0;
      return new Strength(interior, 2 * level + interior, variance, inner);
    }
  }

  private Vp8LoopFilter() {}

  /** The luma of a macroblock, by the filter that looks at luma alone. */
  static void simple(Vp8Plane luma, int x, int y, Strength strength) {
    int first = luma.at(x, y);
    for (int edge = 0; edge < 16; edge += 4) {
      int limit = 2 * (edge == 0 ? strength.edge() + 4 : strength.edge()) + 1;
      if (edge == 0 ? x > 0 : strength.inner()) {
        simpleEdge(luma, first + edge, luma.stride, 1, limit);
      }
    }
    for (int edge = 0; edge < 16; edge += 4) {
      int limit = 2 * (edge == 0 ? strength.edge() + 4 : strength.edge()) + 1;
      if (edge == 0 ? y > 0 : strength.inner()) {
        simpleEdge(luma, first + edge * luma.stride, 1, luma.stride, limit);
      }
    }
  }

  private static void simpleEdge(Vp8Plane plane, int first, int along, int across, int limit) {
    for (int i = 0; i < 16; i++) {
      int at = first + i * along;
      if (edgeDifference(plane, at, across) <= limit) {
        common(plane, at, across);
      }
    }
  }

  /**
   * A component of a macroblock.
   *
   * @param side 16 or 8
   */
  static void normal(Vp8Plane plane, int x, int y, int side, Strength strength) {
    int first = plane.at(x, y);
    for (int edge = 0; edge < side; edge += 4) {
      if (edge == 0 ? x > 0 : strength.inner()) {
        normalEdge(plane, first + edge, plane.stride, 1, side, edge == 0, strength);
      }
    }
    for (int edge = 0; edge < side; edge += 4) {
      if (edge == 0 ? y > 0 : strength.inner()) {
        normalEdge(plane, first + edge * plane.stride, 1, plane.stride, side, edge == 0, strength);
      }
    }
  }

  private static void normalEdge(
      Vp8Plane plane,
      int first,
      int along,
      int across,
      int side,
      boolean macroblock,
      Strength strength) {
    int limit = 2 * (macroblock ? strength.edge() + 4 : strength.edge()) + 1;
    for (int i = 0; i < side; i++) {
      int at = first + i * along;
      if (edgeDifference(plane, at, across) > limit
          || !isSmooth(plane, at, across, strength.interior())) {
        continue;
      }
      if (difference(plane, at - 2 * across, at - across) > strength.variance()
          || difference(plane, at + across, at) > strength.variance()) {
        common(plane, at, across);
      } else if (macroblock) {
        wide(plane, at, across);
      } else {
        narrow(plane, at, across);
      }
    }
  }

  private static int difference(Vp8Plane plane, int a, int b) {
    return Math.abs(plane.get(a) - plane.get(b));
  }

  private static int edgeDifference(Vp8Plane plane, int at, int across) {
    return 4 * difference(plane, at - across, at) + difference(plane, at - 2 * across, at + across);
  }

  private static boolean isSmooth(Vp8Plane plane, int at, int across, int limit) {
    for (int i = 1; i <= 3; i++) {
      if (difference(plane, at - (i + 1) * across, at - i * across) > limit
          || difference(plane, at + i * across, at + (i - 1) * across) > limit) {
        return false;
      }
    }
    return true;
  }

  /** Changes the two pixels at the edge by the difference across it and beside it. */
  private static void common(Vp8Plane plane, int at, int across) {
    int p1 = plane.get(at - 2 * across);
    int p0 = plane.get(at - across);
    int q0 = plane.get(at);
    int q1 = plane.get(at + across);
    int a = 3 * (q0 - p0) + clip(p1 - q1, 127);
    plane.set(at - across, Vp8Plane.clip(p0 + clip((a + 3) >> 3, 15)));
    plane.set(at, Vp8Plane.clip(q0 - clip((a + 4) >> 3, 15)));
  }

  /** Changes the two pixels at the edge, and their neighbors by half as much. */
  private static void narrow(Vp8Plane plane, int at, int across) {
    int p1 = plane.get(at - 2 * across);
    int p0 = plane.get(at - across);
    int q0 = plane.get(at);
    int q1 = plane.get(at + across);
    int a = 3 * (q0 - p0);
    int right = clip((a + 4) >> 3, 15);
    int left = clip((a + 3) >> 3, 15);
    int outer = (right + 1) >> 1;
    plane.set(at - 2 * across, Vp8Plane.clip(p1 + outer));
    plane.set(at - across, Vp8Plane.clip(p0 + left));
    plane.set(at, Vp8Plane.clip(q0 - right));
    plane.set(at + across, Vp8Plane.clip(q1 - outer));
  }

  /** Changes three pixels on each side, by 27, 18 and 9 of 128 parts. */
  private static void wide(Vp8Plane plane, int at, int across) {
    int p1 = plane.get(at - 2 * across);
    int p0 = plane.get(at - across);
    int q0 = plane.get(at);
    int q1 = plane.get(at + across);
    int a = clip(3 * (q0 - p0) + clip(p1 - q1, 127), 127);
    for (int i = 0; i < 3; i++) {
      int part = (9 * (3 - i) * a + 63) >> 7;
      int before = at - (i + 1) * across;
      int after = at + i * across;
      plane.set(before, Vp8Plane.clip(plane.get(before) + part));
      plane.set(after, Vp8Plane.clip(plane.get(after) - part));
    }
  }

  /** To a signed number whose greatest is given, and whose least is one further from zero. */
  private static int clip(int value, int greatest) {
    return Math.max(-greatest - 1, Math.min(greatest, value));
  }
}
