/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training.data;

import java.util.random.RandomGenerator;

/**
 * What is changed of an image at random before it is trained on. Geometry changes the other image
 * of a pair alike; brightness and contrast change the image alone.
 *
 * @param randomCrop whether the square is cut at random, else from the middle
 * @param mirrored whether every second one is mirrored from left to right
 * @param upsideDown whether every second one is mirrored from top to bottom
 * @param quarterTurns whether each is turned by 0, 90, 180 or 270 degrees
 * @param leastShare least side of the square that is cut, as a share of the image's shorter side; 1
 *     never cuts a smaller one
 * @param brightness greatest change, up or down, as a share of the range of values
 * @param contrast greatest change of the factor by which values differ from their middle
 */
public record Augmentation(
    boolean randomCrop,
    boolean mirrored,
    boolean upsideDown,
    boolean quarterTurns,
    double leastShare,
    double brightness,
    double contrast) {
  /** The middle of each image as it is. */
  public static final Augmentation NONE = new Augmentation(false, false, false, false, 1, 0, 0);

  public Augmentation {
    if (!(leastShare > 0 && leastShare <= 1)
        || !(brightness >= 0 && brightness <= 1)
        || !(contrast >= 0 && contrast < 1)) {
      throw new IllegalArgumentException(
          "An augmentation has least_share %s, brightness %s and contrast %s; expected 0 < least_share <= 1, 0 <= brightness <= 1 and 0 <= contrast < 1."
              .formatted(leastShare, brightness, contrast));
    }
  }

  /**
   * What was drawn for one example: the only place where an augmentation draws, so an example's
   * view follows from the generator's state alone.
   *
   * @param left where the square begins, as a share of the room that there is
   * @param top the same, downwards
   * @param share of the shorter side
   * @param quarters of a turn, clockwise
   * @param shift added to values in -1..1
   * @param factor by which they are multiplied first
   */
  record Choice(
      double left,
      double top,
      double share,
      boolean mirror,
      boolean flip,
      int quarters,
      float shift,
      float factor) {}

  Choice draw(RandomGenerator random) {
    return new Choice(
        randomCrop ? random.nextDouble() : 0.5,
        randomCrop ? random.nextDouble() : 0.5,
        leastShare < 1 ? leastShare + (1 - leastShare) * random.nextDouble() : 1,
        mirrored && random.nextBoolean(),
        upsideDown && random.nextBoolean(),
        quarterTurns ? random.nextInt(4) : 0,
        brightness > 0 ? (float) (2 * brightness * signed(random)) : 0,
        contrast > 0 ? (float) (1 + contrast * signed(random)) : 1);
  }

  private static double signed(RandomGenerator random) {
    return 2 * random.nextDouble() - 1;
  }
}
