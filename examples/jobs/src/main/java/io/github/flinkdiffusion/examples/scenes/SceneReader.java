/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import java.awt.Color;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Deque;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Says what an image of a scene shows, by pixels alone: the background is the color of the border,
 * things are what differs from it, and each is the noun whose drawing, cut and scaled alike, is
 * nearest. It has no trained weights, so it shares none with the model that it judges.
 */
final class SceneReader {
  /** Side of the square in which a thing is compared with drawings. */
  private static final int COMPARED = 24;

  /** How far a pixel is from the background to belong to a thing, as a share of the range. */
  private static final double DIFFERENT = 0.12;

  /** Smaller spots are noise: share of the image's pixels. */
  private static final double LEAST_AREA = 0.004;

  /** How much a pixel counts that is inside one and outside the other. */
  private static final double OUTLINE = 0.15;

  private final List<Noun> nouns;
  private final int side;
  private final Map<SceneStyle, Map<Noun, Layers>> drawings = new EnumMap<>(SceneStyle.class);

  /** What a drawing adds to an image, and how much of the background it leaves. */
  private record Layers(float[] paint, float[] transparency) {}

  SceneReader(List<Noun> nouns, IconLibrary icons, int side) {
    this.nouns = nouns;
    this.side = side;
    for (SceneStyle style : SceneStyle.values()) {
      Map<Noun, Layers> ofStyle = new HashMap<>();
      for (Noun noun : nouns) {
        PlacedIcon icon =
            new PlacedIcon(icons.icon(noun, style), 0.1 * side, 0.1 * side, 0.8 * side);
        float[] paint = over(Color.BLACK, icon, side);
        float[] transparency = over(Color.WHITE, icon, side);
        for (int i = 0; i < paint.length; i++) {
          transparency[i] -= paint[i];
        }
        ofStyle.put(noun, new Layers(paint, transparency));
      }
      drawings.put(style, ofStyle);
    }
  }

  /**
   * A thing in an image.
   *
   * @param noun the nearest
   * @param x middle, as a share of the side
   * @param y middle, as a share of the side
   * @param size longer side, as a share of the image's
   */
  record Thing(Noun noun, SceneStyle style, double x, double y, double size) {}

  /** What was read: the background's nearest color, and the things from left to right. */
  record Reading(Tone background, List<Thing> things) {
    /** For a person: "apple, pear on red". */
    String text() {
      String names =
          things.stream().map(thing -> thing.noun().name()).collect(Collectors.joining(", "));
      return "%s on %s".formatted(names.isEmpty() ? "nothing" : names, background.name());
    }
  }

  /** A thing's box, and which pixels of it belong to the thing. */
  private record Spot(int left, int top, int width, int height, int area) {
    boolean near(Spot other, int gap) {
      return left - gap < other.left + other.width
          && other.left - gap < left + width
          && top - gap < other.top + other.height
          && other.top - gap < top + height;
    }

    Spot with(Spot other) {
      int l = Math.min(left, other.left);
      int t = Math.min(top, other.top);
      return new Spot(
          l,
          t,
          Math.max(left + width, other.left + other.width) - l,
          Math.max(top + height, other.top + other.height) - t,
          area + other.area);
    }
  }

  /**
   * @param image RGB planes, each value in 0..1
   * @param expected how many things are looked for: their spots are joined until no more are left
   */
  Reading read(float[] image, int expected) {
    double[] color = background(image);
    boolean[] inside = inside(image, color);
    List<Spot> spots = new ArrayList<>(spots(inside));
    join(spots, expected);
    List<Thing> things = new ArrayList<>();
    for (Spot spot : spots) {
      things.add(nearest(image, inside, color, spot));
    }
    things.sort(Comparator.comparingDouble(Thing::x));
    Tone tone =
        Tone.all().stream()
            .min(
                Comparator.comparingDouble(
                    each -> each.distance(255 * color[0], 255 * color[1], 255 * color[2])))
            .orElseThrow();
    return new Reading(tone, things);
  }

  /** Medians of the border's pixels. */
  private double[] background(float[] image) {
    double[] color = new double[3];
    for (int c = 0; c < 3; c++) {
      float[] border = new float[4 * side];
      for (int i = 0; i < side; i++) {
        border[4 * i] = image[(c * side) * side + i];
        border[4 * i + 1] = image[(c * side + side - 1) * side + i];
        border[4 * i + 2] = image[(c * side + i) * side];
        border[4 * i + 3] = image[(c * side + i) * side + side - 1];
      }
      Arrays.sort(border);
      color[c] = border[border.length / 2];
    }
    return color;
  }

  private boolean[] inside(float[] image, double[] color) {
    boolean[] inside = new boolean[side * side];
    for (int i = 0; i < inside.length; i++) {
      double most = 0;
      for (int c = 0; c < 3; c++) {
        most = Math.max(most, Math.abs(image[c * side * side + i] - color[c]));
      }
      inside[i] = most > DIFFERENT;
    }
    return inside;
  }

  /** Groups of neighboring pixels. */
  private List<Spot> spots(boolean[] inside) {
    boolean[] seen = new boolean[inside.length];
    List<Spot> spots = new ArrayList<>();
    for (int begin = 0; begin < inside.length; begin++) {
      if (inside[begin] && !seen[begin]) {
        Spot spot = spot(inside, seen, begin);
        if (spot.area() >= LEAST_AREA * inside.length) {
          spots.add(spot);
        }
      }
    }
    return spots;
  }

  private Spot spot(boolean[] inside, boolean[] seen, int begin) {
    Deque<Integer> pending = new ArrayDeque<>(List.of(begin));
    seen[begin] = true;
    Spot spot = new Spot(begin % side, begin / side, 1, 1, 0);
    while (!pending.isEmpty()) {
      int at = pending.pop();
      spot = spot.with(new Spot(at % side, at / side, 1, 1, 1));
      for (int dy = -1; dy <= 1; dy++) {
        for (int dx = -1; dx <= 1; dx++) {
          int x = at % side + dx;
          int y = at / side + dy;
          int next = y * side + x;
          if (x >= 0 && y >= 0 && x < side && y < side && inside[next] && !seen[next]) {
            seen[next] = true;
            pending.push(next);
          }
        }
      }
    }
    return spot;
  }

  /** Parts of a thing need not touch: joins the two that are nearest while there are too many. */
  private void join(List<Spot> spots, int expected) {
    for (int gap = 1; spots.size() > expected && gap < side; gap++) {
      for (int i = 0; i < spots.size() && spots.size() > expected; i++) {
        for (int j = i + 1; j < spots.size() && spots.size() > expected; j++) {
          if (spots.get(i).near(spots.get(j), gap)) {
            spots.set(i, spots.get(i).with(spots.remove(j)));
            j = i;
          }
        }
      }
    }
  }

  private Thing nearest(float[] image, boolean[] inside, double[] color, Spot spot) {
    float[] seen = cut(image, inside, spot);
    Noun nearest = null;
    SceneStyle nearestStyle = null;
    double least = Double.MAX_VALUE;
    for (SceneStyle style : SceneStyle.values()) {
      for (Noun noun : nouns) {
        double distance = distance(seen, drawing(noun, style, color));
        if (distance < least) {
          least = distance;
          nearest = noun;
          nearestStyle = style;
        }
      }
    }
    return new Thing(
        nearest,
        nearestStyle,
        (spot.left() + spot.width() / 2.0) / side,
        (spot.top() + spot.height() / 2.0) / side,
        (double) Math.max(spot.width(), spot.height()) / side);
  }

  /** A drawing as it would be cut: over the same background, so that the same of it is lost. */
  private float[] drawing(Noun noun, SceneStyle style, double[] color) {
    Layers layers = drawings.get(style).get(noun);
    int size = side * side;
    float[] image = new float[3 * size];
    for (int c = 0; c < 3; c++) {
      for (int i = c * size; i < (c + 1) * size; i++) {
        image[i] = layers.paint()[i] + layers.transparency()[i] * (float) color[c];
      }
    }
    boolean[] inside = inside(image, color);
    return spots(inside).stream()
        .reduce(Spot::with)
        .map(spot -> cut(image, inside, spot))
        .orElse(new float[0]);
  }

  private static float[] over(Color background, PlacedIcon icon, int side) {
    float[] image = SceneCanvas.draw(background, List.of(icon), side);
    for (int i = 0; i < image.length; i++) {
      image[i] = (image[i] + 1) / 2;
    }
    return image;
  }

  /**
   * A thing's box as a square, its shape kept: planes of red, green, blue, and of what belongs to
   * it.
   */
  private float[] cut(float[] image, boolean[] inside, Spot spot) {
    float[] square = new float[4 * COMPARED * COMPARED];
    int[] counts = new int[COMPARED * COMPARED];
    double scale = (double) COMPARED / Math.max(spot.width(), spot.height());
    double left = (COMPARED - spot.width() * scale) / 2;
    double top = (COMPARED - spot.height() * scale) / 2;
    for (int y = 0; y < COMPARED; y++) {
      for (int x = 0; x < COMPARED; x++) {
        for (int sample = 0; sample < 4; sample++) {
          double fx = (x + 0.25 + 0.5 * (sample % 2) - left) / scale;
          double fy = (y + 0.25 + 0.5 * (sample / 2) - top) / scale;
          if (fx < 0 || fy < 0 || fx >= spot.width() || fy >= spot.height()) {
            continue;
          }
          int from = (spot.top() + (int) fy) * side + spot.left() + (int) fx;
          if (inside[from]) {
            int to = y * COMPARED + x;
            counts[to]++;
            for (int c = 0; c < 3; c++) {
              square[c * COMPARED * COMPARED + to] += image[c * side * side + from];
            }
          }
        }
      }
    }
    for (int i = 0; i < counts.length; i++) {
      for (int c = 0; c < 3; c++) {
        square[c * counts.length + i] /= Math.max(1, counts[i]);
      }
      square[3 * counts.length + i] = counts[i] / 4f;
    }
    return square;
  }

  private static double distance(float[] a, float[] b) {
    if (b.length == 0) {
      return Double.MAX_VALUE;
    }
    int size = COMPARED * COMPARED;
    double sum = 0;
    for (int i = 0; i < size; i++) {
      float insideA = a[3 * size + i];
      float insideB = b[3 * size + i];
      double both = Math.min(insideA, insideB);
      for (int c = 0; c < 3; c++) {
        double difference = a[c * size + i] - b[c * size + i];
        sum += both * difference * difference;
      }
      sum += OUTLINE * 3 * Math.abs(insideA - insideB);
    }
    return sum;
  }
}
