/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training.data;

import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.Window;
import java.util.Optional;
import java.util.random.RandomGenerator;

/**
 * How an image becomes a network's square: scaled to its shorter side, cut, and changed at random.
 *
 * @param side of the square, in pixels
 * @param channels of the network: 1, 3, or as many as the image has
 * @param augmentation what is changed at random
 */
public record View(int side, int channels, Augmentation augmentation) {
  /** An image and the other one of its pair, in -1..1, channels first. */
  public record Square(float[] image, Optional<float[]> other) {}

  /**
   * @param otherSide side of the pair's square
   * @param otherChannels of the pair's square
   * @param otherFilter nearest for masks, whose numbers mean classes
   */
  public Square of(
      Example example,
      RandomGenerator random,
      int otherSide,
      int otherChannels,
      PilResize.Filter otherFilter) {
    Augmentation.Choice choice = augmentation.draw(random);
    float[] image = square(example.image(), side, channels, PilResize.Filter.LANCZOS, choice);
    if (choice.factor() != 1 || choice.shift() != 0) {
      for (int i = 0; i < image.length; i++) {
        image[i] = Math.max(-1, Math.min(1, image[i] * choice.factor() + choice.shift()));
      }
    }
    return new Square(
        image,
        example.other().map(other -> square(other, otherSide, otherChannels, otherFilter, choice)));
  }

  /** Of an image without a pair. */
  public float[] of(Example example, RandomGenerator random) {
    return of(example, random, side, channels, PilResize.Filter.LANCZOS).image();
  }

  private static float[] square(
      Raster image, int side, int channels, PilResize.Filter filter, Augmentation.Choice choice) {
    double scale = side / (choice.share() * Math.min(image.width(), image.height()));
    int width = Math.max(side, (int) Math.round(image.width() * scale));
    int height = Math.max(side, (int) Math.round(image.height() * scale));
    Raster scaled =
        width == image.width() && height == image.height()
            ? image
            : PilResize.resize(image, height, width, filter);
    int x = (int) Math.round(choice.left() * (width - side));
    int y = (int) Math.round(choice.top() * (height - side));
    return signed(scaled.crop(new Window(x, y, side, side)), channels, choice);
  }

  private static float[] signed(Raster image, int channels, Augmentation.Choice choice) {
    int colors = image.channels() == channels ? channels : image.channels() >= 3 ? 3 : 1;
    int side = image.height();
    float[] signed = new float[channels * side * side];
    for (int c = 0; c < channels; c++) {
      for (int y = 0; y < side; y++) {
        for (int x = 0; x < side; x++) {
          int fromX = choice.mirror() ? side - 1 - x : x;
          int fromY = choice.flip() ? side - 1 - y : y;
          for (int turn = 0; turn < choice.quarters(); turn++) {
            int before = fromX;
            fromX = fromY;
            fromY = side - 1 - before;
          }
          float value =
              channels == 1 && colors == 3
                  ? 0.299f * image.at(0, fromY, fromX)
                      + 0.587f * image.at(1, fromY, fromX)
                      + 0.114f * image.at(2, fromY, fromX)
                  : image.at(Math.min(c, colors - 1), fromY, fromX);
          signed[(c * side + y) * side + x] = 2 * value - 1;
        }
      }
    }
    return signed;
  }
}
