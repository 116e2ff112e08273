/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import java.util.List;

/** How large a single thing is. */
enum SceneSize {
  SMALL(0.42, 0.5, "small", "little", "tiny"),
  MEDIUM(0.58, 0.68, "medium", "middle-sized"),
  LARGE(0.8, 0.94, "large", "big", "huge");

  private final double least;
  private final double most;
  private final List<String> words;

  SceneSize(double least, double most, String... words) {
    this.least = least;
    this.most = most;
    this.words = List.of(words);
  }

  /** The least side, as a share of the image's. */
  double least() {
    return least;
  }

  /** The greatest side, as a share of the image's. */
  double most() {
    return most;
  }

  /** What prompts call it, the usual word first. */
  List<String> words() {
    return words;
  }
}
