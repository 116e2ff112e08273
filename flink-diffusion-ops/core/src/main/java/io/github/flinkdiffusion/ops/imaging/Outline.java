/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Optional;

/**
 * The outline of a set of pixels along their edges, as polygons that are valid in the sense of
 * Simple Features (and so of JTS, PostGIS and GeoJSON's readers).
 *
 * <p>Pixels that touch at a corner alone are one region and not one polygon, for its ring would
 * touch itself. So the set is taken apart into pieces that are connected by edges, and each is a
 * polygon. Where a piece meets itself at a corner its outline crosses over to the pixel on the
 * other side: the two pixels are joined by edges elsewhere, so whatever lies between them is cut
 * off by that corner, and the two parts of the outline belong to two rings. Hence no ring passes a
 * point twice, and rings of one piece meet at single points at most.
 *
 * <p>Only corners are points of a ring; those on a straight line are left out.
 *
 * @param pieces of the set: rings of each, the outer one first, as x and y in turn; the first point
 *     is not repeated. By the sign of the area, outer rings are positive and holes negative.
 */
record Outline(List<List<int[]>> pieces) {
  private static final int[] DX = {1, 0, -1, 0};
  private static final int[] DY = {0, 1, 0, -1};

  /**
   * @param runs of the set
   * @param mostPoints of all rings
   * @return nothing if there are more points
   */
  static Optional<Outline> of(Runs runs, int mostPoints) {
    Box box = runs.box();
    // A margin of one pixel, so that each neighbor of a member is in the grid.
    int left = (int) box.x() - 1;
    int top = (int) box.y() - 1;
    int width = (int) box.width() + 2;
    int height = (int) box.height() + 2;
    BitSet members = new BitSet(width * height);
    for (int i = 0; i < runs.count(); i++) {
      int row = (runs.y(i) - top) * width - left;
      members.set(row + runs.left(i), row + runs.right(i) + 1);
    }
    List<List<int[]>> pieces = new ArrayList<>();
    BitSet taken = new BitSet(width * height);
    int remaining = mostPoints;
    for (int start = members.nextSetBit(0);
        start >= 0;
        start = nextFree(members, taken, start + 1)) {
      Runs piece = Runs.connected(width, height, start, members::get, taken, false);
      List<int[]> rings = new Piece(piece, left, top).rings(remaining);
      remaining -= points(rings);
      if (remaining < 0) {
        return Optional.empty();
      }
      pieces.add(rings);
    }
    return Optional.of(new Outline(pieces));
  }

  private static int nextFree(BitSet members, BitSet taken, int from) {
    int next = members.nextSetBit(from);
    while (next >= 0 && taken.get(next)) {
      next = members.nextSetBit(taken.nextClearBit(next));
    }
    return next;
  }

  int points() {
    return pieces.stream().mapToInt(Outline::points).sum();
  }

  private static int points(List<int[]> rings) {
    return rings.stream().mapToInt(ring -> ring.length / 2).sum();
  }

  /** Pixels that are connected by edges, on a grid of their own. */
  private static final class Piece {
    private final int left;
    private final int top;
    private final int width;
    private final BitSet members;

    /** Pixels whose upper edge is in a ring already. */
    private final BitSet passed;

    Piece(Runs runs, int gridLeft, int gridTop) {
      Box box = runs.box();
      int minX = (int) box.x() - 1;
      int minY = (int) box.y() - 1;
      this.left = gridLeft + minX;
      this.top = gridTop + minY;
      this.width = (int) box.width() + 2;
      int size = width * ((int) box.height() + 2);
      this.members = new BitSet(size);
      this.passed = new BitSet(size);
      for (int i = 0; i < runs.count(); i++) {
        int row = (runs.y(i) - minY) * width - minX;
        members.set(row + runs.left(i), row + runs.right(i) + 1);
      }
    }

    /**
     * The first pixel's upper edge is on the outer ring, and every other ring has an upper edge of
     * a pixel, too. Stops after more points than asked for.
     */
    List<int[]> rings(int mostPoints) {
      List<int[]> rings = new ArrayList<>();
      int points = 0;
      for (int pixel = members.nextSetBit(0);
          pixel >= 0 && points <= mostPoints;
          pixel = members.nextSetBit(pixel + 1)) {
        if (!members.get(pixel - width) && !passed.get(pixel)) {
          int[] ring = ring(pixel, mostPoints - points);
          points += ring.length / 2;
          rings.add(ring);
        }
      }
      return rings;
    }

    /** Walks along the edges with members on the right hand, on a screen. */
    private int[] ring(int pixel, int mostPoints) {
      int startX = pixel % width;
      int startY = pixel / width;
      int x = startX;
      int y = startY;
      int heading = 0;
      int[] points = new int[16];
      int length = 0;
      do {
        if (heading == 0) {
          passed.set(y * width + x);
        }
        x += DX[heading];
        y += DY[heading];
        int turned = turn(x, y, heading);
        if (turned != heading) {
          if (length == points.length) {
            points = Arrays.copyOf(points, 2 * length);
          }
          points[length++] = left + x;
          points[length++] = top + y;
          heading = turned;
        }
      } while ((x != startX || y != startY || heading != 0) && length / 2 <= mostPoints);
      return Arrays.copyOf(points, length);
    }

    /** Left if the pixel ahead on the left is a member, or else on if that on the right is. */
    private int turn(int x, int y, int heading) {
      int right = (heading + 1) % 4;
      if (member(x, y, heading, -1, right)) {
        return (heading + 3) % 4;
      }
      return member(x, y, heading, 1, right) ? heading : right;
    }

    /** A pixel ahead of a corner. */
    private boolean member(int x, int y, int heading, int side, int right) {
      // Twice the pixel's center from the corner is one step ahead and one to the side.
      int dx = DX[heading] + side * DX[right];
      int dy = DY[heading] + side * DY[right];
      return members.get((y + (dy - 1) / 2) * width + x + (dx - 1) / 2);
    }
  }
}
