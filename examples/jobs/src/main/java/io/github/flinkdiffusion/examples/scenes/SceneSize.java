/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import java.util.List;

/** How large a single thing is. */
enum SceneSize {
  SMALL(11, "small", "little", "tiny"),
  LARGE(20, "large", "big", "huge");

  private final int cells;
  private final List<String> words;

  SceneSize(int cells, String... words) {
    this.cells = cells;
    this.words = List.of(words);
  }

  /** The side of a thing in an image of so many pixels. */
  double side(int image) {
    return image * cells / (double) SceneModel.LATENT_SIDE;
  }

  /** What prompts call it, the usual word first. */
  List<String> words() {
    return words;
  }
}
