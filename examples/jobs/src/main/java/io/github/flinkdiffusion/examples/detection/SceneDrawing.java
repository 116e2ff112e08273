/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.detection;

import io.github.flinkdiffusion.examples.detection.DrawnScene.Shape;
import io.github.flinkdiffusion.examples.detection.DrawnScene.Thing;
import io.github.flinkdiffusion.examples.scenes.IconSet;
import io.github.flinkdiffusion.ops.image.Raster;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.geom.AffineTransform;
import java.awt.image.BufferedImage;
import java.awt.image.DataBufferInt;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.random.RandomGenerator;

/**
 * Draws scenes to find things in: one to three emoji of eight kinds anywhere, of any size and
 * slightly turned, often with others that are no answer, on plain, shaded, cloudy or noisy
 * backgrounds. Things neither overlap nor touch, and are wholly inside.
 */
final class SceneDrawing {
  /** Pixels of a scene. */
  static final int SIDE = 64;

  /** What is to be found: names by the icons'. */
  static final Map<String, String> LABELS = labels();

  /** What is in scenes, too: some of it looks like what is to be found. */
  static final List<String> DISTRACTING =
      List.of(
          "lemon",
          "tomato",
          "dog-face",
          "whale",
          "bus",
          "mushroom",
          "basketball",
          "sun",
          "crown",
          "key",
          "umbrella",
          "wrapped-gift");

  private static final int OVERSAMPLING = 4;
  private static final int ICON_PIXELS = 160;
  private static final double LEAST_SIZE = 16;
  private static final double MOST_SIZE = 36;
  private static final double MOST_TURN = Math.toRadians(15);
  private static final int MOST_THINGS = 3;
  private static final int MOST_TRIES = 30;
  private static final int CLOUDS = 5;

  private final List<Map<String, BufferedImage>> sets;

  private SceneDrawing(List<Map<String, BufferedImage>> sets) {
    this.sets = List.copyOf(sets);
  }

  private static Map<String, String> labels() {
    Map<String, String> labels = new LinkedHashMap<>();
    labels.put("red-apple", "apple");
    labels.put("banana", "banana");
    labels.put("cat-face", "cat");
    labels.put("fish", "fish");
    labels.put("automobile", "car");
    labels.put("deciduous-tree", "tree");
    labels.put("soccer-ball", "ball");
    labels.put("star", "star");
    return labels;
  }

  /**
   * Draws the icons.
   *
   * @param files icons.json of sets; a thing is drawn as any of them has it
   * @throws IOException if one cannot be read or lacks an icon
   */
  static SceneDrawing open(List<Path> files) throws IOException {
    List<Map<String, BufferedImage>> sets = new ArrayList<>();
    for (Path file : files) {
      IconSet set = IconSet.open(file);
      Map<String, BufferedImage> drawn = new LinkedHashMap<>();
      for (String icon : LABELS.keySet()) {
        drawn.put(icon, set.draw(icon, ICON_PIXELS));
      }
      for (String icon : DISTRACTING) {
        drawn.put(icon, set.draw(icon, ICON_PIXELS));
      }
      sets.add(drawn);
    }
    return new SceneDrawing(sets);
  }

  DrawnScene scene(RandomGenerator random) {
    float[] image = background(random);
    List<Thing> things = new ArrayList<>();
    boolean[] taken = new boolean[SIDE * SIDE];
    int count = 1 + random.nextInt(MOST_THINGS);
    List<String> icons = List.copyOf(LABELS.keySet());
    for (int i = 0; i < count; i++) {
      String icon = icons.get(random.nextInt(icons.size()));
      place(icon, image, taken, random)
          .ifPresent(shape -> things.add(new Thing(LABELS.get(icon), shape)));
    }
    int others = random.nextInt(4) - 1;
    for (int i = 0; i < others; i++) {
      place(DISTRACTING.get(random.nextInt(DISTRACTING.size())), image, taken, random);
    }
    noise(image, random);
    return new DrawnScene(new Raster(3, SIDE, SIDE, image), things);
  }

  /** Puts an icon where there is room; empty if there is none. */
  private Optional<Shape> place(
      String icon, float[] image, boolean[] taken, RandomGenerator random) {
    BufferedImage drawing = sets.get(random.nextInt(sets.size())).get(icon);
    double size = LEAST_SIZE + (MOST_SIZE - LEAST_SIZE) * random.nextDouble();
    double turn = MOST_TURN * (2 * random.nextDouble() - 1);
    boolean mirrored = random.nextBoolean();
    float[] layer =
        layer(drawing, size, turn, mirrored, random.nextDouble() - 0.5, random.nextDouble() - 0.5);
    boolean[] inside = new boolean[SIDE * SIDE];
    for (int i = 0; i < inside.length; i++) {
      inside[i] = layer[3 * inside.length + i] >= 0.5f;
    }
    if (!connected(inside)) {
      return Optional.empty();
    }
    int[] box = new Shape(SIDE, inside).box();
    for (int i = 0; i < MOST_TRIES; i++) {
      int dx = 1 + random.nextInt(SIDE - 1 - box[2]) - box[0];
      int dy = 1 + random.nextInt(SIDE - 1 - box[3]) - box[1];
      if (isFree(taken, box[0] + dx, box[1] + dy, box[2], box[3])) {
        take(taken, box[0] + dx, box[1] + dy, box[2], box[3]);
        blend(layer, dx, dy, image);
        return Optional.of(new Shape(SIDE, moved(inside, dx, dy)));
      }
    }
    return Optional.empty();
  }

  /** Red, green and blue times the opacity, and the opacity, about the middle. */
  private static float[] layer(
      BufferedImage drawing, double size, double turn, boolean mirrored, double dx, double dy) {
    int large = SIDE * OVERSAMPLING;
    BufferedImage canvas = new BufferedImage(large, large, BufferedImage.TYPE_INT_ARGB_PRE);
    Graphics2D graphics = canvas.createGraphics();
    try {
      graphics.setRenderingHint(
          RenderingHints.KEY_INTERPOLATION, RenderingHints.VALUE_INTERPOLATION_BILINEAR);
      AffineTransform place =
          AffineTransform.getTranslateInstance(
              large / 2.0 + dx * OVERSAMPLING, large / 2.0 + dy * OVERSAMPLING);
      place.rotate(turn);
      double scale = size * OVERSAMPLING / drawing.getWidth();
      place.scale(mirrored ? -scale : scale, scale);
      place.translate(-drawing.getWidth() / 2.0, -drawing.getHeight() / 2.0);
      graphics.drawImage(drawing, place, null);
    } finally {
      graphics.dispose();
    }
    int[] pixels = ((DataBufferInt) canvas.getRaster().getDataBuffer()).getData();
    int plane = SIDE * SIDE;
    float[] layer = new float[4 * plane];
    float share = 1f / (255 * OVERSAMPLING * OVERSAMPLING);
    for (int i = 0; i < pixels.length; i++) {
      int to = i / large / OVERSAMPLING * SIDE + i % large / OVERSAMPLING;
      for (int channel = 0; channel < 3; channel++) {
        layer[channel * plane + to] += share * (pixels[i] >> (16 - 8 * channel) & 0xff);
      }
      layer[3 * plane + to] += share * (pixels[i] >>> 24);
    }
    return layer;
  }

  private static boolean connected(boolean[] inside) {
    int first = 0;
    while (first < inside.length && !inside[first]) {
      first++;
    }
    if (first == inside.length) {
      return false;
    }
    boolean[] left = inside.clone();
    Deque<Integer> next = new ArrayDeque<>(List.of(first));
    left[first] = false;
    while (!next.isEmpty()) {
      int pixel = next.pop();
      for (int y = Math.max(0, pixel / SIDE - 1); y <= Math.min(SIDE - 1, pixel / SIDE + 1); y++) {
        for (int x = Math.max(0, pixel % SIDE - 1);
            x <= Math.min(SIDE - 1, pixel % SIDE + 1);
            x++) {
          if (left[y * SIDE + x]) {
            left[y * SIDE + x] = false;
            next.push(y * SIDE + x);
          }
        }
      }
    }
    for (boolean pixel : left) {
      if (pixel) {
        return false;
      }
    }
    return true;
  }

  private static boolean isFree(boolean[] taken, int left, int top, int width, int height) {
    for (int y = top; y < top + height; y++) {
      for (int x = left; x < left + width; x++) {
        if (taken[y * SIDE + x]) {
          return false;
        }
      }
    }
    return true;
  }

  /** With a pixel around it, so that no two things touch. */
  private static void take(boolean[] taken, int left, int top, int width, int height) {
    for (int y = Math.max(0, top - 1); y <= Math.min(SIDE - 1, top + height); y++) {
      Arrays.fill(
          taken,
          y * SIDE + Math.max(0, left - 1),
          y * SIDE + Math.min(SIDE, left + width + 1),
          true);
    }
  }

  private static boolean[] moved(boolean[] inside, int dx, int dy) {
    boolean[] moved = new boolean[inside.length];
    for (int i = 0; i < inside.length; i++) {
      if (inside[i]) {
        moved[(i / SIDE + dy) * SIDE + i % SIDE + dx] = true;
      }
    }
    return moved;
  }

  private static void blend(float[] layer, int dx, int dy, float[] image) {
    int plane = SIDE * SIDE;
    for (int y = Math.max(0, dy); y < Math.min(SIDE, SIDE + dy); y++) {
      for (int x = Math.max(0, dx); x < Math.min(SIDE, SIDE + dx); x++) {
        int from = (y - dy) * SIDE + x - dx;
        float opacity = layer[3 * plane + from];
        for (int channel = 0; channel < 3; channel++) {
          int to = channel * plane + y * SIDE + x;
          image[to] = image[to] * (1 - opacity) + layer[channel * plane + from];
        }
      }
    }
  }

  /** Plain, shaded from one side to the other, or cloudy. */
  private static float[] background(RandomGenerator random) {
    double kind = random.nextDouble();
    int cells = kind < 0.35 ? 1 : kind < 0.6 ? 2 : CLOUDS;
    float spread = cells == CLOUDS ? 0.1f + 0.25f * random.nextFloat() : 0.5f;
    float[] image = new float[3 * SIDE * SIDE];
    for (int channel = 0; channel < 3; channel++) {
      float base = random.nextFloat();
      float[] grid = new float[cells * cells];
      for (int i = 0; i < grid.length; i++) {
        grid[i] = clipped(base + (cells == 1 ? 0 : spread * (2 * random.nextFloat() - 1)));
      }
      for (int i = 0; i < SIDE * SIDE; i++) {
        image[channel * SIDE * SIDE + i] = between(grid, cells, i % SIDE, i / SIDE);
      }
    }
    return image;
  }

  private static float between(float[] grid, int cells, int x, int y) {
    float atX = x * (cells - 1) / (SIDE - 1f);
    float atY = y * (cells - 1) / (SIDE - 1f);
    int left = Math.min((int) atX, Math.max(0, cells - 2));
    int top = Math.min((int) atY, Math.max(0, cells - 2));
    int right = Math.min(left + 1, cells - 1);
    int bottom = Math.min(top + 1, cells - 1);
    float shareX = atX - left;
    float shareY = atY - top;
    float upper = grid[top * cells + left] * (1 - shareX) + grid[top * cells + right] * shareX;
    float lower =
        grid[bottom * cells + left] * (1 - shareX) + grid[bottom * cells + right] * shareX;
    return upper * (1 - shareY) + lower * shareY;
  }

  /** Of three scenes, two have some. */
  private static void noise(float[] image, RandomGenerator random) {
    double deviation = Math.max(0, 0.12 * random.nextDouble() - 0.04);
    for (int i = 0; i < image.length; i++) {
      image[i] = clipped((float) (image[i] + deviation * random.nextGaussian()));
    }
  }

  private static float clipped(float value) {
    return Math.max(0, Math.min(1, value));
  }
}
