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
 * How an image becomes a network's square: scaled to its shorter side, cut, and mirrored or not.
 *
 * @param side of the square, in pixels
 * @param channels of the network: 1 or 3
 * @param randomCrop whether the square is cut at random, else from the middle
 * @param mirrored whether every second one is mirrored
 */
public record View(int side, int channels, boolean randomCrop, boolean mirrored) {
  /** What one image was cut and mirrored by, for its pair to be cut so, too. */
  private record Choice(double left, double top, boolean mirror) {}

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
    Choice choice =
        new Choice(
            randomCrop ? random.nextDouble() : 0.5,
            randomCrop ? random.nextDouble() : 0.5,
            mirrored && random.nextBoolean());
    return new Square(
        square(example.image(), side, channels, PilResize.Filter.LANCZOS, choice),
        example.other().map(other -> square(other, otherSide, otherChannels, otherFilter, choice)));
  }

  /** Of an image without a pair. */
  public float[] of(Example example, RandomGenerator random) {
    return of(example, random, side, channels, PilResize.Filter.LANCZOS).image();
  }

  private static float[] square(
      Raster image, int side, int channels, PilResize.Filter filter, Choice choice) {
    double scale = (double) side / Math.min(image.width(), image.height());
    int width = Math.max(side, (int) Math.round(image.width() * scale));
    int height = Math.max(side, (int) Math.round(image.height() * scale));
    Raster scaled =
        width == image.width() && height == image.height()
            ? image
            : PilResize.resize(image, height, width, filter);
    int x = (int) Math.round(choice.left() * (width - side));
    int y = (int) Math.round(choice.top() * (height - side));
    return signed(scaled.crop(new Window(x, y, side, side)), channels, choice.mirror());
  }

  private static float[] signed(Raster image, int channels, boolean mirror) {
    int colors = image.channels() >= 3 ? 3 : 1;
    int height = image.height();
    int width = image.width();
    float[] signed = new float[channels * height * width];
    for (int c = 0; c < channels; c++) {
      for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
          int from = mirror ? width - 1 - x : x;
          float value =
              channels == 1 && colors == 3
                  ? 0.299f * image.at(0, y, from)
                      + 0.587f * image.at(1, y, from)
                      + 0.114f * image.at(2, y, from)
                  : image.at(Math.min(c, colors - 1), y, from);
          signed[(c * height + y) * width + x] = 2 * value - 1;
        }
      }
    }
    return signed;
  }
}
