/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import java.awt.Color;
import java.util.ArrayList;
import java.util.List;
import java.util.random.RandomGenerator;

/**
 * A background's color.
 *
 * @param name in prompts
 * @param red 0..255
 * @param green 0..255
 * @param blue 0..255
 */
record Tone(String name, int red, int green, int blue) {
  /** How far a scene's background may be from the tone, in each channel. */
  private static final int VARIATION = 10;

  private static final List<Tone> PLAIN =
      List.of(
          new Tone("white", 250, 250, 250),
          new Tone("gray", 150, 150, 150),
          new Tone("black", 20, 20, 20),
          new Tone("red", 220, 60, 60),
          new Tone("orange", 245, 150, 50),
          new Tone("yellow", 250, 215, 70),
          new Tone("green", 90, 175, 90),
          new Tone("blue", 75, 130, 220),
          new Tone("purple", 145, 90, 195),
          new Tone("pink", 245, 160, 195),
          new Tone("brown", 140, 95, 60));

  /** Colors that have names of their own. */
  static List<Tone> plain() {
    return PLAIN;
  }

  /** All colors that a prompt can name. */
  static List<Tone> all() {
    List<Tone> all = new ArrayList<>(PLAIN);
    all.add(new Tone("dark", 50, 50, 60));
    return all;
  }

  /** A shade of it. */
  Color shade(RandomGenerator random) {
    return new Color(varied(red, random), varied(green, random), varied(blue, random));
  }

  private static int varied(int value, RandomGenerator random) {
    int varied = value + random.nextInt(2 * VARIATION + 1) - VARIATION;
    return Math.max(0, Math.min(255, varied));
  }

  /** The square of the distance to a color. */
  double distance(double otherRed, double otherGreen, double otherBlue) {
    double r = red - otherRed;
    double g = green - otherGreen;
    double b = blue - otherBlue;
    return r * r + g * g + b * b;
  }
}
