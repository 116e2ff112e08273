/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

/** How things are drawn: the icon set that they come from. */
enum SceneStyle {
  NOTO("noto", "noto"),
  FLAT("flat", "fluent-emoji-flat");

  private final String word;
  private final String set;

  SceneStyle(String word, String set) {
    this.word = word;
    this.set = set;
  }

  /** What prompts call it. */
  String word() {
    return word;
  }

  /** The icon set's prefix. */
  String set() {
    return set;
  }
}
