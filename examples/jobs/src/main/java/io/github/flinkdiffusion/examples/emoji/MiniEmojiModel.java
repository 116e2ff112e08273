/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.emoji;

import io.github.flinkdiffusion.examples.training.SmallStableDiffusion;
import java.util.List;
import java.util.Map;

/** The shape of the mini-emoji model. */
final class MiniEmojiModel {
  /** Pixels of a side. */
  static final int SIDE = 64;

  /** More than the words need, so that each becomes one token. */
  static final int MAX_MERGES = 1000;

  static final SmallStableDiffusion MODEL =
      new SmallStableDiffusion("mini-emoji", SIDE, 128, unetJson());

  static final int LATENT_SIDE = MODEL.latentSide();

  private MiniEmojiModel() {}

  private static Map<String, Object> unetJson() {
    return Map.of(
        "block_out_channels", List.of(96, 160, 128),
        "down_block_types", List.of("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "norm_num_groups", 32,
        "up_block_types", List.of("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"));
  }
}
