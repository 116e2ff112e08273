/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import io.github.flinkdiffusion.examples.training.SmallStableDiffusion;
import java.util.List;
import java.util.Map;

/** The shape of the second embedded text-to-image model. */
final class SceneModel {
  /** Pixels of a side. */
  static final int SIDE = 96;

  /** More than the words need, so that each becomes one token. */
  static final int MAX_MERGES = 4000;

  static final SmallStableDiffusion MODEL =
      new SmallStableDiffusion("the scene model", SIDE, 160, unetJson());

  static final int LATENT_SIDE = MODEL.latentSide();

  private SceneModel() {}

  /**
   * Few channels at 24 x 24 pixels, where each costs most. Down to 3 x 3 pixels, of which each lies
   * at a border or has all of them in sight: nothing but the padding of convolutions tells a pixel
   * where it is, and what a thing looks like differs from place to place. A UNet that ended at 6 x
   * 6 drew blots of the right color. What is to be drawn reaches every layer by the pooled text;
   * attention to its words is at 6 x 6 and at 3 x 3 only.
   */
  private static Map<String, Object> unetJson() {
    return Map.of(
        "addition_embed_type",
        "text",
        "addition_embed_type_num_heads",
        4,
        "block_out_channels",
        List.of(48, 96, 128, 192),
        "down_block_types",
        List.of("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "norm_num_groups",
        16,
        "resnet_time_scale_shift",
        "scale_shift",
        "up_block_types",
        List.of("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"));
  }
}
