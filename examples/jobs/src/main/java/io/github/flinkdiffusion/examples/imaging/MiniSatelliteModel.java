/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import java.util.List;
import java.util.Map;

/** The shape of mini-satellite-x4: what its networks see and how its folder is written. */
final class MiniSatelliteModel {
  /** Pixels of the large picture for one of the small one, along a side. */
  static final int FACTOR = 4;

  /** Side of a training crop, in pixels of the large picture. */
  static final int SIDE = 64;

  /**
   * What the difference between picture and bicubic enlargement, both in -1..1, is multiplied by:
   * makes its deviation about one half, so that noise levels mean what they mean for pictures.
   */
  static final double RESIDUAL_SCALE = 8;

  private MiniSatelliteModel() {}

  static ModelFiles files() {
    return new ModelFiles(indexJson(), unetJson(), schedulerJson());
  }

  /** The fields after the components say how the network is conditioned. */
  private static Map<String, Object> indexJson() {
    Map<String, Object> index =
        ModelFiles.concatIndex("ConcatConditionedUpscalePipeline", "bicubic", "residual");
    index.put("scale_factor", FACTOR);
    index.put("residual_scale", RESIDUAL_SCALE);
    return index;
  }

  /** No attention: pictures of any size, and tiles that do not depend on what is far away. */
  private static Map<String, Object> unetJson() {
    Map<String, Object> unet = ModelFiles.smallUnet();
    unet.put("add_attention", false);
    unet.put("block_out_channels", List.of(32, 32, 64));
    unet.put("down_block_types", List.of("DownBlock2D", "DownBlock2D", "DownBlock2D"));
    unet.put("in_channels", 6);
    unet.put("out_channels", 3);
    unet.put("sample_size", SIDE);
    unet.put("up_block_types", List.of("UpBlock2D", "UpBlock2D", "UpBlock2D"));
    return unet;
  }

  /** DDPM's schedule; the network predicts the clean sample itself. */
  private static Map<String, Object> schedulerJson() {
    Map<String, Object> scheduler = ModelFiles.ddpmSchedule();
    scheduler.put("clip_sample", false);
    return scheduler;
  }
}
