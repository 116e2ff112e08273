/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import java.util.List;

/** How large a thing is that is alone in the middle. */
enum SceneSize {
  SMALL(14, "small", "little", "tiny"),
  LARGE(20, "large", "big", "huge");

  private final int cells;
  private final List<String> words;

  SceneSize(int cells, String... words) {
    this.cells = cells;
    this.words = List.of(words);
  }

  /** The side of a thing, in cells of the latents. */
  int cells() {
    return cells;
  }

  /** What prompts call it, the usual word first. */
  List<String> words() {
    return words;
  }
}
