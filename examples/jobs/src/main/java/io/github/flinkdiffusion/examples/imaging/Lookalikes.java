/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import io.github.flinkdiffusion.ops.image.Raster;
import java.util.random.RandomGenerator;

/**
 * Pictures that a network takes for a head if it looks for something round with a rim, drawn anew
 * each time: portraits, ovals and boxes with a texture and rims, lines and rings, faces with fur,
 * windows of a screen, and pages of text.
 */
final class Lookalikes {
  private static final int KINDS = 6;

  /** Most strokes of a picture. */
  private static final int STROKES = 24;

  /** Side of the noise that fur is made of. */
  private static final int GRAIN = 64;

  private final int height;
  private final int width;
  private final float[] data;
  private final RandomGenerator random;

  private Lookalikes(RandomGenerator random, int height, int width, Raster ground) {
    this.random = random;
    this.height = height;
    this.width = width;
    this.data = ground.data().clone();
  }

  /**
   * @param ground what is behind it
   * @param texture what an oval is filled with
   * @param height of the picture and of the other two
   */
  static Raster draw(RandomGenerator random, Raster ground, Raster texture, int height, int width) {
    Lookalikes picture = new Lookalikes(random, height, width, ground);
    switch (random.nextInt(KINDS)) {
      case 0 -> picture.portrait();
      case 1 -> picture.framed(texture);
      case 2 -> picture.animal();
      case 3 -> picture.window(texture);
      case 4 -> picture.page();
      default -> picture.strokes();
    }
    return new Raster(1, height, width, picture.data);
  }

  /** Shoulders, neck, hair, and a face that is lit from one side, with eyes, brows and mouth. */
  private void portrait() {
    double x = 0.5 + 0.3 * signed();
    double y = 0.4 + 0.25 * signed();
    double size = 0.1 + 0.22 * random.nextDouble();
    double tilt = 0.3 * signed();
    double skin = 0.3 + 0.6 * random.nextDouble();
    double hair = random.nextDouble();
    double light = 0.5 * signed();
    double cloth = random.nextDouble();
    ellipse(x, y + 3.1 * size, 2.2 * size, 1.6 * size, 0, cloth, 0.3 * signed());
    ellipse(x, y + 1.2 * size, 0.45 * size, 0.7 * size, 0, 0.85 * skin, light);
    double fringe = size * (1.05 + 0.35 * random.nextDouble());
    ellipse(x, y - 0.2 * size, fringe, 1.1 * fringe, tilt, hair, 0.2 * signed());
    ellipse(x, y, 0.85 * size, 1.1 * size, tilt, skin, light);
    if (random.nextBoolean()) {
      // A cap, or a cap of hair.
      ellipse(x, y - 0.85 * size, 0.95 * size, 0.5 * size, tilt, random.nextDouble(), light);
    }
    double eyes = 0.3 * size;
    for (int side = -1; side <= 1; side += 2) {
      double eyeX = x + side * eyes - 0.15 * size * Math.sin(tilt);
      ellipse(eyeX, y - 0.15 * size, 0.16 * size, 0.08 * size, tilt, 0.9 * skin + 0.1, 0);
      ellipse(eyeX, y - 0.15 * size, 0.07 * size, 0.08 * size, 0, 0.1, 0);
      ellipse(eyeX, y - 0.33 * size, 0.2 * size, 0.04 * size, tilt, 0.5 * hair * skin, 0);
    }
    ellipse(x, y + 0.15 * size, 0.09 * size, 0.22 * size, tilt, Math.min(1, 1.15 * skin), light);
    double mouth = 0.04 + 0.1 * random.nextDouble();
    ellipse(x, y + 0.55 * size, 0.3 * size, mouth * size, tilt, 0.6 * skin, 0);
  }

  /** As a head from afar, or a screen: up to three rims, and inside anything but a brain. */
  private void framed(Raster texture) {
    double x = 0.5 + 0.15 * signed();
    double y = 0.5 + 0.15 * signed();
    double size = 0.2 + 0.3 * random.nextDouble();
    double longer = size * (0.6 + 0.7 * random.nextDouble());
    double tilt = 0.5 * signed() * random.nextDouble();
    double power = random.nextBoolean() ? 2 : 2 + 10 * random.nextDouble();
    int rims = random.nextInt(4);
    for (int i = 0; i < rims; i++) {
      shape(x, y, size, longer, tilt, power, random.nextDouble(), 0.4 * signed());
      double thinner = 0.75 + 0.22 * random.nextDouble();
      size *= thinner;
      longer *= thinner;
    }
    double strength = random.nextDouble();
    double level = random.nextDouble();
    float[] before = data.clone();
    shape(x, y, size, longer, tilt, power, 1, 0);
    float[] filled = data.clone();
    System.arraycopy(before, 0, data, 0, data.length);
    shape(x, y, size, longer, tilt, power, 0, 0);
    for (int i = 0; i < data.length; i++) {
      // The difference of white and black is how much of the pixel is inside.
      double inside = filled[i] - data[i];
      double value = (1 - strength) * level + strength * texture.data()[i];
      data[i] = (float) ((1 - inside) * before[i] + inside * value);
    }
  }

  /** A face with fur, ears, round eyes, a nose and whiskers, often larger than the picture. */
  private void animal() {
    double x = 0.5 + 0.3 * signed();
    double y = 0.5 + 0.3 * signed();
    double size = 0.15 + 0.5 * random.nextDouble();
    double tilt = 0.5 * signed();
    double fur = 0.2 + 0.7 * random.nextDouble();
    double light = 0.5 * signed();
    for (int side = -1; side <= 1; side += 2) {
      ellipse(x + 0.7 * side * size, y - 0.8 * size, 0.3 * size, 0.5 * size, tilt, fur, light);
      ellipse(x + 0.7 * side * size, y - 0.8 * size, 0.18 * size, 0.35 * size, tilt, 0.6 * fur, 0);
    }
    ellipse(x, y, size, size * (0.8 + 0.4 * random.nextDouble()), tilt, fur, light);
    furred(0.1 + 0.5 * random.nextDouble());
    double iris = random.nextDouble();
    double open = 0.12 + 0.12 * random.nextDouble();
    for (int side = -1; side <= 1; side += 2) {
      double eyeX = x + 0.4 * side * size;
      double eyeY = y - 0.1 * size + 0.4 * side * size * Math.sin(tilt);
      ellipse(eyeX, eyeY, 1.25 * open * size, 1.1 * open * size, tilt, 0.15, 0);
      ellipse(eyeX, eyeY, open * size, 0.9 * open * size, tilt, iris, light);
      ellipse(eyeX, eyeY, 0.5 * open * size, 0.7 * open * size, 0, 0.05, 0);
    }
    double muzzle = Math.min(1, fur + 0.3 * random.nextDouble());
    ellipse(x, y + 0.5 * size, 0.35 * size, 0.25 * size, tilt, muzzle, light);
    ellipse(x, y + 0.35 * size, 0.12 * size, 0.08 * size, tilt, random.nextDouble(), 0);
    for (int i = random.nextInt(9); i > 0; i--) {
      double far = 0.6 * size * signed();
      ellipse(x + far, y + 0.5 * size, 0.4 * size, 0.006, 0.4 * signed(), 0.9, 0);
    }
  }

  /** Strokes of noise along directions that turn slowly, over all of the picture. */
  private void furred(double strength) {
    float[] noise = new float[GRAIN * GRAIN];
    for (int i = 0; i < noise.length; i++) {
      noise[i] = (float) random.nextGaussian();
    }
    Raster grain = new Raster(1, GRAIN, GRAIN, noise);
    double along = 6 + 12 * random.nextDouble();
    double across = 1.5 + 3 * random.nextDouble();
    double angle = Math.PI * random.nextDouble();
    double bend = 0.6 * signed();
    for (int row = 0; row < height; row++) {
      double v = (double) row / height - 0.5;
      for (int column = 0; column < width; column++) {
        double u = (double) column / width - 0.5;
        double direction = angle + bend * (u * u + v);
        double p = (Math.cos(direction) * column + Math.sin(direction) * row) / along;
        double q = (Math.cos(direction) * row - Math.sin(direction) * column) / across;
        double value = SliceVariation.bilinear(grain, wrapped(p), wrapped(q));
        int at = row * width + column;
        data[at] = (float) Math.max(0, Math.min(1, data[at] * (1 + strength * value)));
      }
    }
  }

  private static double wrapped(double at) {
    return at - (GRAIN - 1) * Math.floor(at / (GRAIN - 1));
  }

  /** A screen or a part of it: bars, buttons and lines over surfaces that grow lighter. */
  private void window(Raster texture) {
    int surfaces = 1 + random.nextInt(4);
    for (int i = 0; i < surfaces; i++) {
      double x = 0.5 + 0.35 * signed();
      double y = 0.5 + 0.35 * signed();
      double across = 0.1 + 0.4 * random.nextDouble();
      double down = 0.08 + 0.4 * random.nextDouble();
      double level = random.nextDouble();
      double rim = random.nextDouble();
      shape(x, y, across + 0.02, down + 0.02, 0, 12, rim, 0);
      shape(x, y, across, down, 0, 12, level, signed());
      shape(x, y - 0.9 * down, across, 0.1 * down, 0, 12, random.nextDouble(), signed());
      double writing = level < 0.5 ? 1 : 0;
      int lines = random.nextInt(12);
      for (int line = 0; line < lines; line++) {
        double top = y - 0.7 * down + 1.5 * down * line / lines;
        double length = across * (0.2 + 0.7 * random.nextDouble());
        shape(x - 0.9 * across + length, top, length, 0.012, 0, 8, writing, 0);
      }
    }
    if (random.nextBoolean()) {
      double share = 0.3 * random.nextDouble();
      for (int i = 0; i < data.length; i++) {
        data[i] = (float) ((1 - share) * data[i] + share * texture.data()[i]);
      }
    }
  }

  /** Words in lines, dark on light or light on dark, scanned a little askew and unevenly lit. */
  private void page() {
    double paper = random.nextDouble();
    double ink = paper < 0.5 ? paper + 0.5 * random.nextDouble() : paper * random.nextDouble();
    shape(0.5, 0.5, 1, 1, 0.05 * signed(), 20, paper, signed());
    double tilt = 0.15 * signed();
    double high = 0.01 + 0.04 * random.nextDouble();
    double left = 0.05 + 0.2 * random.nextDouble();
    for (double y = left; y < 1 - left / 2; y += high * (2.5 + random.nextDouble())) {
      double x = left;
      while (x < 1 - left) {
        double word = high * (0.5 + 3 * random.nextDouble());
        int letters = 1 + (int) (2 * word / high);
        for (int letter = 0; letter < letters; letter++) {
          double at = x + 2 * word * letter / letters;
          double thin = high * (0.15 + 0.3 * random.nextDouble());
          ellipse(at, y + tilt * (at - 0.5), thin, high * 0.7, 0.5 * signed(), ink, 0);
        }
        x += 2 * word + high;
      }
    }
  }

  /** Lines, rings and spots of one or of several brightnesses. */
  private void strokes() {
    int count = 1 + random.nextInt(STROKES);
    double even = random.nextDouble();
    boolean oneLevel = random.nextBoolean();
    for (int i = 0; i < count; i++) {
      double level = oneLevel ? even : random.nextDouble();
      double x = random.nextDouble();
      double y = random.nextDouble();
      double thin = 0.004 + 0.03 * random.nextDouble();
      double size = 0.05 + 0.45 * random.nextDouble();
      switch (random.nextInt(3)) {
        case 0 -> ellipse(x, y, size, thin, Math.PI * random.nextDouble(), level, 0);
        case 1 -> ring(x, y, size, thin, level);
        default -> ellipse(x, y, 0.3 * size, 0.3 * size, 0, level, signed());
      }
    }
  }

  private void ring(double x, double y, double size, double thin, double level) {
    for (int row = 0; row < height; row++) {
      for (int column = 0; column < width; column++) {
        double far =
            Math.hypot((column + 0.5 - x * width) / width, (row + 0.5 - y * height) / width);
        if (Math.abs(far - size) < thin) {
          data[row * width + column] = (float) level;
        }
      }
    }
  }

  private void ellipse(
      double x, double y, double across, double down, double tilt, double level, double light) {
    shape(x, y, across, down, tilt, 2, level, light);
  }

  /**
   * An ellipse or a box with an edge that is about a pixel soft.
   *
   * @param x of its middle, as a share of the picture's width
   * @param y of its middle, as a share of the picture's height
   * @param across half its width before it is tilted, as a share of the picture's
   * @param down half its height, as a share of the picture's width
   * @param power 2: an ellipse; the more, the more of a box
   * @param light relative brightness gained from its middle to its right
   */
  private void shape(
      double x,
      double y,
      double across,
      double down,
      double tilt,
      double power,
      double level,
      double light) {
    double cos = Math.cos(tilt);
    double sin = Math.sin(tilt);
    double soft = 1 / (Math.min(across, down) * width);
    // Of a square around it; most shapes are much smaller than the picture.
    double reach = (Math.abs(across) + Math.abs(down)) * width;
    int bottom = (int) Math.min(height, y * height + reach + 1);
    int right = (int) Math.min(width, x * width + reach + 1);
    for (int row = (int) Math.max(0, y * height - reach); row < bottom; row++) {
      for (int column = (int) Math.max(0, x * width - reach); column < right; column++) {
        double u = (column + 0.5 - x * width) / width;
        double v = (row + 0.5 - y * height) / width;
        double p = (cos * u + sin * v) / across;
        double q = (cos * v - sin * u) / down;
        if (Math.abs(p) > 1 || Math.abs(q) > 1) {
          continue;
        }
        double far =
            power == 2
                ? Math.hypot(p, q)
                : Math.pow(Math.pow(Math.abs(p), power) + Math.pow(Math.abs(q), power), 1 / power);
        double inside = Math.max(0, Math.min(1, (1 - far) / soft));
        if (inside > 0) {
          int at = row * width + column;
          double value = Math.max(0, Math.min(1, level * (1 + light * p)));
          data[at] = (float) ((1 - inside) * data[at] + inside * value);
        }
      }
    }
  }

  private double signed() {
    return 2 * random.nextDouble() - 1;
  }
}
