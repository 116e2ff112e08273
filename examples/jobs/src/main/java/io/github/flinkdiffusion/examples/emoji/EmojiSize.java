/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.emoji;

/** How much of the picture an emoji fills. */
public enum EmojiSize {
  LARGE(58),
  SMALL(34);

  private final int pixels;

  EmojiSize(int pixels) {
    this.pixels = pixels;
  }

  /** Side of the emoji, in a picture of 64 pixels. */
  int pixels() {
    return pixels;
  }

  /** The word for it in a prompt. */
  String word() {
    return name().toLowerCase(java.util.Locale.ROOT);
  }
}
