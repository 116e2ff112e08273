/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.List;

/**
 * Shape of one sample; trajectories of equal shape share network calls.
 *
 * @param sizes of its dimensions, from 1; of an image or a latent: channels, height, width
 */
record SampleShape(List<Integer> sizes) {
  SampleShape {
    sizes = List.copyOf(sizes);
    if (sizes.isEmpty() || sizes.stream().anyMatch(size -> size < 1)) {
      throw new IllegalArgumentException("A sample cannot have the dimensions " + sizes + ".");
    }
  }

  /** Of an image or a latent. */
  SampleShape(int channels, int height, int width) {
    this(List.of(channels, height, width));
  }

  /** Values of one sample. */
  int size() {
    return sizes.stream().reduce(1, Math::multiplyExact);
  }

  /** Of an image or a latent, as all that follow. */
  int channels() {
    return image(0);
  }

  int height() {
    return image(1);
  }

  int width() {
    return image(2);
  }

  /** Values of one channel. */
  int plane() {
    return height() * width();
  }

  private int image(int dimension) {
    if (sizes.size() != 3) {
      throw new IllegalStateException("A sample of " + sizes + " is no image.");
    }
    return sizes.get(dimension);
  }
}
