/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import java.util.List;

/** How large a single thing is. */
enum SceneSize {
  SMALL(10, "small", "little", "tiny"),
  LARGE(20, "large", "big", "huge");

  private final int cells;
  private final List<String> words;

  SceneSize(int cells, String... words) {
    this.cells = cells;
    this.words = List.of(words);
  }

  /** The side of a thing, in pixels of the latents. */
  int cells() {
    return cells;
  }

  /** What prompts call it, the usual word first. */
  List<String> words() {
    return words;
  }
}
