/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import java.util.List;
import java.util.Map;

/** The shape of mini-brain-mask: what its network sees and how its folder is written. */
final class MiniBrainModel {
  /** Rows of the slice as the network sees it: about 2 mm each. */
  static final int HEIGHT = 112;

  /** Pixels of a row of the slice as the network sees it. */
  static final int WIDTH = 96;

  static final String MINIMUM_CERTAINTY = "minimum_certainty";

  /**
   * About what 95 of 100 answers to heads reach that mark so much of their picture, by {@link
   * MiniBrainCertainty}; of the smallest masks, what 95 of 100 answers without a brain do not.
   */
  private static final List<List<Number>> LIMITS =
      List.of(
          List.of(0, 0.69),
          List.of(0.05, 0.74),
          List.of(0.1, 0.82),
          List.of(0.2, 0.94),
          List.of(0.4, 0.99));

  private MiniBrainModel() {}

  static ModelFiles files() {
    return new ModelFiles(indexJson(), unetJson(), schedulerJson());
  }

  /** The fields after the components say how the network is conditioned. */
  private static Map<String, Object> indexJson() {
    Map<String, Object> index =
        ModelFiles.concatIndex("ConcatConditionedSegmentationPipeline", "bilinear", "mask");
    index.put(MINIMUM_CERTAINTY, LIMITS);
    return index;
  }

  /** Attention at an eighth of the size: where the head is decides what is brain. */
  private static Map<String, Object> unetJson() {
    Map<String, Object> unet = ModelFiles.smallUnet();
    unet.put("add_attention", true);
    unet.put("attention_head_dim", 32);
    unet.put("block_out_channels", List.of(16, 32, 64, 96));
    unet.put(
        "down_block_types", List.of("DownBlock2D", "DownBlock2D", "DownBlock2D", "DownBlock2D"));
    unet.put("in_channels", 2);
    unet.put("out_channels", 1);
    unet.put("sample_size", List.of(HEIGHT, WIDTH));
    unet.put("up_block_types", List.of("UpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D"));
    return unet;
  }

  /** DDPM's schedule; the network predicts the mask itself, which is in -1..1. */
  private static Map<String, Object> schedulerJson() {
    Map<String, Object> scheduler = ModelFiles.ddpmSchedule();
    scheduler.put("clip_sample", true);
    scheduler.put("clip_sample_range", 1.0);
    return scheduler;
  }
}
