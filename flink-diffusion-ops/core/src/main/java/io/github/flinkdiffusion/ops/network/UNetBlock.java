/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import java.util.List;

/**
 * A resolution level's block, by its names in {@code down_block_types} and {@code up_block_types}.
 */
enum UNetBlock {
  /** Residual blocks; convolutions resample. */
  PLAIN("DownBlock2D", "UpBlock2D"),
  /** And transformers that see the context. */
  CROSS("CrossAttnDownBlock2D", "CrossAttnUpBlock2D"),
  /** Residual blocks, which resample, too. */
  RESNET("ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D"),
  /** And attention to the context and the image at once ({@link AddedKvAttention}). */
  SIMPLE_CROSS("SimpleCrossAttnDownBlock2D", "SimpleCrossAttnUpBlock2D"),
  /** Residual blocks and attention of pixels to each other. */
  ATTENTION("AttnDownBlock2D", "AttnUpBlock2D"),
  /**
   * NCSN++ (Song et al. 2021): a smaller copy of the input is added on the way down, a larger copy
   * of an image on the way up.
   */
  SKIP("SkipDownBlock2D", "SkipUpBlock2D"),
  /** And attention of pixels to each other. */
  ATTENTION_SKIP("AttnSkipDownBlock2D", "AttnSkipUpBlock2D"),
  /** Residual blocks of {@link KLevels}. */
  K("KDownBlock2D", "KUpBlock2D"),
  /** And attention to the context. */
  K_CROSS("KCrossAttnDownBlock2D", "KCrossAttnUpBlock2D");

  /** What files of 2022 write before some names; it means nothing. */
  private static final String OLD_PREFIX = "UNetRes";

  private final String down;
  private final String up;

  UNetBlock(String down, String up) {
    this.down = down;
    this.up = up;
  }

  /** The blocks that a config names on the way down. */
  static List<UNetBlock> down(Config config, List<UNetBlock> defaults, List<UNetBlock> supported) {
    return read(config, "down_block_types", defaults, supported, true);
  }

  /** The blocks that a config names on the way up, in its order. */
  static List<UNetBlock> up(Config config, List<UNetBlock> defaults, List<UNetBlock> supported) {
    return read(config, "up_block_types", defaults, supported, false);
  }

  private static List<UNetBlock> read(
      Config config,
      String key,
      List<UNetBlock> defaults,
      List<UNetBlock> supported,
      boolean downwards) {
    List<String> names = supported.stream().map(block -> block.name(downwards)).toList();
    return ConfigValues.blockTypes(
            config,
            key,
            defaults.stream().map(block -> block.name(downwards)).toList(),
            names,
            OLD_PREFIX)
        .stream()
        .map(name -> supported.get(names.indexOf(name)))
        .toList();
  }

  private String name(boolean downwards) {
    return downwards ? down : up;
  }

  /** Whether the block reads the context. */
  boolean seesContext() {
    return this == CROSS || this == SIMPLE_CROSS || this == K_CROSS;
  }

  /** Whether pixels see each other. */
  boolean seesPixels() {
    return this == ATTENTION || this == ATTENTION_SKIP;
  }

  /** Whether the block carries a copy of the image beside its features. */
  boolean skips() {
    return this == SKIP || this == ATTENTION_SKIP;
  }

  /** Whether the block is one of {@link KLevels}, which stand by themselves. */
  boolean isK() {
    return this == K || this == K_CROSS;
  }

  /** Whether an image whose sides are odd would not come back to its size. */
  boolean takesEvenSides() {
    return resamplesInResnets() || isK();
  }

  /** Whether residual blocks change the image's size. */
  boolean resamplesInResnets() {
    return this == RESNET || this == SIMPLE_CROSS;
  }
}
