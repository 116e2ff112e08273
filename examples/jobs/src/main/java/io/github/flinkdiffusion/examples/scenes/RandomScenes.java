/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import java.awt.Color;
import java.awt.image.BufferedImage;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * Scenes of one to three icons, of any size and at any place, over any color: more than the prompts
 * can say, so that the autoencoder meets nothing new later. A scene follows from its number alone.
 */
final class RandomScenes {
  private static final int MOST_ICONS = 3;
  private static final double SMALLEST = 0.2;
  private static final double LARGEST = 0.95;

  /** How far an icon may reach beyond an edge, as a share of its own side. */
  private static final double OVERHANG = 0.15;

  private final List<BufferedImage> drawings;
  private final int side;
  private final long seed;

  /**
   * @param side pixels of a scene
   */
  RandomScenes(List<BufferedImage> drawings, int side, long seed) {
    this.drawings = List.copyOf(drawings);
    this.side = side;
    this.seed = seed;
  }

  /** RGB planes of a scene, each value in -1..1. */
  float[] scene(long number) {
    Random random = new Random(seed ^ (number * 0x9E3779B97F4A7C15L));
    Color background = new Color(random.nextInt(256), random.nextInt(256), random.nextInt(256));
    int count = 1 + random.nextInt(MOST_ICONS);
    List<PlacedIcon> icons = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      double largest = LARGEST / Math.sqrt(count);
      double size = side * (SMALLEST + (largest - SMALLEST) * random.nextDouble());
      double range = side - size + 2 * OVERHANG * size;
      icons.add(
          new PlacedIcon(
              drawings.get(random.nextInt(drawings.size())),
              range * random.nextDouble() - OVERHANG * size,
              range * random.nextDouble() - OVERHANG * size,
              size));
    }
    return SceneCanvas.draw(background, icons, side);
  }
}
