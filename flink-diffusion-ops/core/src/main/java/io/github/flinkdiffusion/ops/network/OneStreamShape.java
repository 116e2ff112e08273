/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;

/** What {@link OneStream} needs to know of a network. */
interface OneStreamShape {

  /** Channels of the latent. */
  int channels();

  /** Pixels of the latent along a side of a patch. */
  int patchSize();

  /** Of a token. */
  int size();

  /** Layers in which image and text are together. */
  int layers();

  /** Layers that each of them has for itself. */
  int refinerLayers();

  int heads();

  /** Of each head. */
  default int headSize() {
    return size() / heads();
  }

  /** Of the layers' norms. */
  double epsilon();

  /** Of a text's states. */
  int textSize();

  /** The base of the rotary frequencies. */
  double theta();

  /** The part of a head that a token's place in the text turns. */
  int textAxis();

  /** The part that a patch's row turns. */
  int rowAxis();

  /** The part that a patch's column turns. */
  int columnAxis();

  /**
   * Reads the three axes, which together are a head.
   *
   * @param whole what a head is, for messages
   */
  static int[] axes(Config config, String key, int[] otherwise, int size, int heads, String whole) {
    int[] axes = config.integers(key, otherwise);
    boolean even = axes.length == 3;
    int sum = 0;
    for (int axis : axes) {
      even &= axis > 0 && axis % 2 == 0;
      sum += axis;
    }
    if (!even || size % heads != 0 || sum != size / heads) {
      throw config.unsupported(
          key,
          config.node().get(key),
          "three even numbers whose sum is %s (%d / %d)".formatted(whole, size, heads));
    }
    return axes;
  }

  /** Reads how many places each axis has: of the text and the image behind it, rows, columns. */
  static int[] lengths(Config config, int[] otherwise, int least) {
    int[] lengths = config.integers("axes_lens", otherwise);
    if (lengths.length != 3 || lengths[0] < least || lengths[1] < 1 || lengths[2] < 1) {
      throw config.unsupported(
          "axes_lens",
          config.node().get("axes_lens"),
          "three numbers, the first at least " + least);
    }
    return lengths;
  }
}
