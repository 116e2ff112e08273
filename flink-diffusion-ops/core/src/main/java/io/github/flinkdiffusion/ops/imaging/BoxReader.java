/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.Rgb;
import io.github.flinkdiffusion.ops.pipeline.BoxStyle;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/**
 * Reads the boxes that a model has drawn into a picture, as InstructCV answers "detect the dog":
 * with the picture itself and unfilled rectangles of one color, some pixels thick.
 *
 * <p>What a model draws is blurred, noisy and has gaps. So pixels count by their hue, not by their
 * exact color; what was of that color before does not count; and a box needs most of its four
 * sides, not all of them. Boxes may overlap and lie in each other. Of several readings of the same
 * lines the largest box wins: two boxes that share a whole side and make a rectangle together are
 * read as one. A box smaller than {@value #LEAST_SIDE} pixels or three times its line's thickness
 * is not told from a blot. JPEG files keep colors at half the resolution: there, a line of one or
 * two pixels can be lost.
 */
final class BoxReader {
  /** Pixels of a side. */
  private static final int LEAST_SIDE = 8;

  /** Of a side, what must be there. */
  private static final double SIDE_DRAWN = 0.75;

  /** Of all four sides, what no larger box has explained. */
  private static final double OWN = 0.5;

  /** Of the pixels just inside of the lines, what may be of their color: a box is not filled. */
  private static final double INSIDE_DRAWN = 0.5;

  /** Pixels that a line may be interrupted for. */
  private static final int GAP = 3;

  /** Pixels of a line among nine, the one in the middle included. */
  private static final int LEAST_AROUND = 3;

  /** Lines of a connected drawing that are looked at, in each direction: the longest. */
  private static final int MOST_LINES = 40;

  private final BoxStyle style;

  public BoxReader(BoxStyle style) {
    this.style = Objects.requireNonNull(style, "style");
  }

  /**
   * The boxes of a picture. Their edges are the lines' outer ones; their score is the part of the
   * four sides that is there.
   *
   * @param picture three channels, 0..1
   * @param before the picture that it was made from, as large; empty if that is not known
   * @param mostBoxes the largest so many
   */
  public Regions read(Raster picture, Optional<Raster> before, int mostBoxes) {
    List<Region> regions = new ArrayList<>();
    for (int i = 0; i < style.colors().size(); i++) {
      BitSet marked = marked(picture, style.colors().get(i), before);
      String label = style.labels().get(i);
      for (Candidate box : new Drawing(picture.width(), picture.height(), marked).boxes()) {
        regions.add(
            new Region(label, box.score(), Math.round(box.area()), null, null, box.box(), null));
      }
    }
    regions.sort(Comparator.comparingLong(Region::areaPixels).reversed());
    return new Regions(Optional.empty(), regions.subList(0, Math.min(mostBoxes, regions.size())));
  }

  /** Pixels that look like the color and did not before. */
  private static BitSet marked(Raster picture, Rgb color, Optional<Raster> before) {
    if (picture.channels() != 3) {
      throw new IllegalArgumentException(picture + " has not three channels");
    }
    Hue hue = Hue.of(color.band(0), color.band(1), color.band(2));
    int plane = picture.height() * picture.width();
    Optional<Raster> comparable =
        before.filter(other -> other.channels() == 3 && other.data().length == 3 * plane);
    BitSet marked = new BitSet(plane);
    for (int i = 0; i < plane; i++) {
      if (at(picture, plane, i).isLike(hue)
          && (comparable.isEmpty() || !at(comparable.get(), plane, i).isLike(hue))) {
        marked.set(i);
      }
    }
    return marked;
  }

  private static Hue at(Raster picture, int plane, int pixel) {
    float[] data = picture.data();
    return Hue.of(data[pixel], data[plane + pixel], data[2 * plane + pixel]);
  }

  /**
   * A color as people name it.
   *
   * @param degrees on the wheel of colors
   * @param saturation 0..1
   * @param value 0..1, of the brightest band
   */
  private record Hue(double degrees, double saturation, double value) {
    private static final double NEAR_DEGREES = 20;
    private static final double NEAR_SATURATION = 0.6;
    private static final double NEAR_VALUE = 0.35;
    private static final double COLORFUL = 0.5;

    static Hue of(float red, float green, float blue) {
      float most = Math.max(red, Math.max(green, blue));
      float range = most - Math.min(red, Math.min(green, blue));
      double degrees = 0;
      if (range > 0) {
        degrees =
            most == red
                ? 60 * ((green - blue) / range)
                : most == green
                    ? 60 * ((blue - red) / range + 2)
                    : 60 * ((red - green) / range + 4);
      }
      return new Hue(degrees, most > 0 ? range / most : 0, most);
    }

    /** A gray line's color is told by its brightness, all others by their hue. */
    boolean isLike(Hue line) {
      if (line.saturation < COLORFUL) {
        return Math.abs(value - line.value) < NEAR_VALUE
            && Math.abs(saturation - line.saturation) < NEAR_VALUE;
      }
      double turn = Math.abs(degrees - line.degrees) % 360;
      return Math.min(turn, 360 - turn) <= NEAR_DEGREES
          && saturation >= NEAR_SATURATION * line.saturation
          && value >= NEAR_VALUE;
    }
  }

  /**
   * A straight line: the columns (or rows) of one that is upright (or level), from the first to the
   * last, and how much of it is there up to each position along it.
   */
  private record Line(int first, int last, int[] drawnBefore, int length) {
    double drawn(int from, int to) {
      return (double) (drawnBefore[to] - drawnBefore[from]) / (to - from);
    }
  }

  private record Candidate(int left, int top, int right, int bottom, double score) {
    double area() {
      return (double) (right - left) * (bottom - top);
    }

    Box box() {
      return new Box(left, top, right - left, bottom - top);
    }
  }

  /** All pixels of one color. */
  private static final class Drawing {
    private final int width;
    private final int height;
    private final BitSet drawn;

    /** A pixel without two neighbors is noise. */
    Drawing(int width, int height, BitSet marked) {
      this.width = width;
      this.height = height;
      this.drawn = new BitSet(width * height);
      for (int pixel = marked.nextSetBit(0); pixel >= 0; pixel = marked.nextSetBit(pixel + 1)) {
        int x = pixel % width;
        int y = pixel / width;
        int around = 0;
        for (int row = Math.max(0, y - 1); row <= Math.min(height - 1, y + 1); row++) {
          for (int column = Math.max(0, x - 1); column <= Math.min(width - 1, x + 1); column++) {
            around += marked.get(row * width + column) ? 1 : 0;
          }
        }
        if (around >= LEAST_AROUND) {
          drawn.set(pixel);
        }
      }
    }

    /** Each connected drawing is read by itself. */
    List<Candidate> boxes() {
      BitSet closed = grown();
      BitSet taken = new BitSet(width * height);
      List<Candidate> boxes = new ArrayList<>();
      for (int start = closed.nextSetBit(0); start >= 0; start = closed.nextSetBit(start + 1)) {
        if (!taken.get(start)) {
          Runs runs = Runs.connected(width, height, start, closed::get, taken, true);
          Box around = runs.box();
          if (around.width() >= LEAST_SIDE && around.height() >= LEAST_SIDE) {
            boxes.addAll(new Part(runs, around).boxes());
          }
        }
      }
      return boxes;
    }

    /** Each pixel and those around it, so that lines hold together over gaps. */
    private BitSet grown() {
      BitSet grown = new BitSet(width * height);
      int reach = GAP / 2 + 1;
      for (int pixel = drawn.nextSetBit(0); pixel >= 0; pixel = drawn.nextSetBit(pixel + 1)) {
        int x = pixel % width;
        int from = Math.max(0, x - reach);
        int to = Math.min(width, x + reach + 1);
        int y = pixel / width;
        for (int row = Math.max(0, y - reach); row <= Math.min(height - 1, y + reach); row++) {
          grown.set(row * width + from, row * width + to);
        }
      }
      return grown;
    }

    /** A connected drawing on a grid of its own. */
    private final class Part {
      private final int x0;
      private final int y0;
      private final int columns;
      private final int rows;
      private final BitSet own;

      Part(Runs runs, Box around) {
        x0 = (int) around.x();
        y0 = (int) around.y();
        columns = (int) around.width();
        rows = (int) around.height();
        own = new BitSet(columns * rows);
        for (int i = 0; i < runs.count(); i++) {
          for (int x = runs.left(i); x <= runs.right(i); x++) {
            if (drawn.get(runs.y(i) * width + x)) {
              own.set((runs.y(i) - y0) * columns + x - x0);
            }
          }
        }
      }

      List<Candidate> boxes() {
        int[] across = lengths(rows, columns, columns, 1);
        int[] down = lengths(columns, rows, 1, columns);
        int thickness = thickness(across, down);
        int least = Math.max(LEAST_SIDE, 3 * thickness);
        List<Line> upright = lines(down, least, columns, rows, 1, columns);
        List<Line> level = lines(across, least, rows, columns, columns, 1);
        return chosen(candidates(upright, level, least, thickness), thickness);
      }

      /**
       * For each pixel that is drawn, how long the line through it is in one direction, small gaps
       * included.
       *
       * @param lines how many there are side by side
       * @param length of each
       * @param step from a line to the next
       * @param stride from a pixel of a line to the next
       */
      private int[] lengths(int lines, int length, int step, int stride) {
        int[] lengths = new int[columns * rows];
        for (int line = 0; line < lines; line++) {
          int begin = -1;
          int last = -GAP - 2;
          for (int i = 0; i <= length; i++) {
            boolean here = i < length && own.get(line * step + i * stride);
            if (here && i - last > GAP + 1 || i == length) {
              for (int k = begin; begin >= 0 && k <= last; k++) {
                lengths[line * step + k * stride] = last - begin + 1;
              }
              begin = i;
            }
            last = here ? i : last;
          }
        }
        return lengths;
      }

      /** The shorter of both lengths is the line's thickness, but for crossings. */
      private int thickness(int[] across, int[] down) {
        int[] thick =
            own.stream().map(pixel -> Math.min(across[pixel], down[pixel])).sorted().toArray();
        return thick[thick.length / 2];
      }

      /** Lines in one direction that are long enough, the longest ones. */
      private List<Line> lines(
          int[] lengths, int least, int lines, int length, int step, int stride) {
        int[] count = new int[lines + 1];
        for (int line = 0; line < lines; line++) {
          for (int i = 0; i < length; i++) {
            int pixel = line * step + i * stride;
            count[line] += own.get(pixel) && lengths[pixel] >= least ? 1 : 0;
          }
        }
        List<Line> found = new ArrayList<>();
        int first = -1;
        for (int line = 0; line <= lines; line++) {
          boolean isLong = count[line] >= least;
          if (isLong && first < 0) {
            first = line;
          } else if (!isLong && first >= 0) {
            found.add(line(first, line - 1, lines, length, step, stride));
            first = -1;
          }
        }
        found.sort(Comparator.comparingInt(Line::length).reversed());
        return found.subList(0, Math.min(MOST_LINES, found.size()));
      }

      private Line line(int first, int last, int lines, int length, int step, int stride) {
        int[] before = new int[length + 1];
        for (int i = 0; i < length; i++) {
          boolean here = false;
          for (int line = Math.max(0, first - 1); line <= Math.min(lines - 1, last + 1); line++) {
            here |= own.get(line * step + i * stride);
          }
          before[i + 1] = before[i] + (here ? 1 : 0);
        }
        return new Line(first, last, before, before[length]);
      }

      private List<Candidate> candidates(
          List<Line> upright, List<Line> level, int least, int thickness) {
        List<Candidate> found = new ArrayList<>();
        for (Line left : upright) {
          for (Line right : upright) {
            if (right.last() + 1 - left.first() < least) {
              continue;
            }
            for (Line top : level) {
              double topDrawn = top.drawn(left.first(), right.last() + 1);
              if (topDrawn < SIDE_DRAWN) {
                continue;
              }
              for (Line bottom : level) {
                if (bottom.last() + 1 - top.first() >= least) {
                  add(found, left, top, right, bottom, topDrawn, thickness);
                }
              }
            }
          }
        }
        return found;
      }

      private void add(
          List<Candidate> found,
          Line left,
          Line top,
          Line right,
          Line bottom,
          double topDrawn,
          int thickness) {
        double bottomDrawn = bottom.drawn(left.first(), right.last() + 1);
        double leftDrawn = left.drawn(top.first(), bottom.last() + 1);
        double rightDrawn = right.drawn(top.first(), bottom.last() + 1);
        if (Math.min(bottomDrawn, Math.min(leftDrawn, rightDrawn)) < SIDE_DRAWN) {
          return;
        }
        Candidate box =
            new Candidate(
                left.first(),
                top.first(),
                right.last() + 1,
                bottom.last() + 1,
                (topDrawn + bottomDrawn + leftDrawn + rightDrawn) / 4);
        if (!isFilled(box, thickness)) {
          found.add(box);
        }
      }

      private boolean isFilled(Candidate box, int thickness) {
        int inset = thickness + 2;
        int inside = 0;
        int all = 0;
        for (int x = box.left() + inset; x < box.right() - inset; x++) {
          inside += drawnAt(x, box.top() + inset) + drawnAt(x, box.bottom() - 1 - inset);
          all += 2;
        }
        for (int y = box.top() + inset; y < box.bottom() - inset; y++) {
          inside += drawnAt(box.left() + inset, y) + drawnAt(box.right() - 1 - inset, y);
          all += 2;
        }
        return all == 0 || inside > INSIDE_DRAWN * all;
      }

      private int drawnAt(int x, int y) {
        return own.get(y * columns + x) ? 1 : 0;
      }

      /** The largest first; then those whose lines are for the most part their own. */
      private List<Candidate> chosen(List<Candidate> candidates, int thickness) {
        candidates.sort(
            Comparator.comparingDouble(Candidate::area)
                .reversed()
                .thenComparing(Comparator.comparingDouble(Candidate::score).reversed()));
        BitSet explained = new BitSet(columns * rows);
        List<Candidate> chosen = new ArrayList<>();
        for (Candidate box : candidates) {
          BitSet lines = lines(box, thickness);
          int all = lines.cardinality();
          lines.andNot(explained);
          if (lines.cardinality() >= OWN * all) {
            explained.or(lines(box, thickness + 2));
            chosen.add(
                new Candidate(
                    x0 + box.left(),
                    y0 + box.top(),
                    x0 + box.right(),
                    y0 + box.bottom(),
                    box.score()));
          }
        }
        return chosen;
      }

      /** The four sides, so thick and a pixel more to the outside. */
      private BitSet lines(Candidate box, int thickness) {
        BitSet lines = new BitSet(columns * rows);
        int left = Math.max(0, box.left() - 1);
        int right = Math.min(columns, box.right() + 1);
        for (int y = Math.max(0, box.top() - 1); y < Math.min(rows, box.bottom() + 1); y++) {
          int row = y * columns;
          if (y < box.top() + thickness || y >= box.bottom() - thickness) {
            lines.set(row + left, row + right);
          } else {
            lines.set(row + left, row + Math.min(right, left + thickness + 1));
            lines.set(row + Math.max(left, right - thickness - 1), row + right);
          }
        }
        return lines;
      }
    }
  }
}
