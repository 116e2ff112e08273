package io.github.flinkdiffusion.examples.imaging;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The shape of mini-brain-mask: what its network sees and how its folder is written. */
final class MiniBrainModel {
  /** Rows of the slice as the network sees it: about 2 mm each. */
  static final int HEIGHT = 112;

  /** Pixels of a row of the slice as the network sees it. */
  static final int WIDTH = 96;

  private MiniBrainModel() {}

  static ModelFiles files() {
    return new ModelFiles(indexJson(), unetJson(), schedulerJson());
  }

  /** The fields after the components say how the network is conditioned. */
  private static Map<String, Object> indexJson() {
    Map<String, Object> index = new TreeMap<>();
    index.put("_class_name", "ConcatConditionedSegmentationPipeline");
    index.put("_diffusers_version", ModelFiles.VERSION);
    index.put("unet", List.of("diffusers", "UNet2DModel"));
    index.put("scheduler", List.of("diffusers", "DDIMScheduler"));
    index.put("concatenation", "sample, image");
    index.put("image_resampling", "bilinear");
    index.put("value_range", List.of(-1, 1));
    index.put("sample_target", "mask");
    return index;
  }

  /** Attention at an eighth of the size: where the head is decides what is brain. */
  private static Map<String, Object> unetJson() {
    Map<String, Object> unet = new TreeMap<>();
    unet.put("_class_name", "UNet2DModel");
    unet.put("_diffusers_version", ModelFiles.VERSION);
    unet.put("act_fn", "silu");
    unet.put("add_attention", true);
    unet.put("attention_head_dim", 32);
    unet.put("block_out_channels", List.of(16, 32, 64, 96));
    unet.put(
        "down_block_types", List.of("DownBlock2D", "DownBlock2D", "DownBlock2D", "DownBlock2D"));
    unet.put("in_channels", 2);
    unet.put("layers_per_block", 1);
    unet.put("norm_num_groups", 8);
    unet.put("out_channels", 1);
    unet.put("sample_size", List.of(HEIGHT, WIDTH));
    unet.put("up_block_types", List.of("UpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D"));
    return unet;
  }

  /** DDPM's schedule; the network predicts the mask itself, which is in -1..1. */
  private static Map<String, Object> schedulerJson() {
    Map<String, Object> scheduler = new TreeMap<>();
    scheduler.put("_class_name", "DDIMScheduler");
    scheduler.put("_diffusers_version", ModelFiles.VERSION);
    scheduler.put("beta_end", 0.02);
    scheduler.put("beta_schedule", "linear");
    scheduler.put("beta_start", 1e-4);
    scheduler.put("clip_sample", true);
    scheduler.put("clip_sample_range", 1.0);
    scheduler.put("num_train_timesteps", ModelFiles.TRAIN_TIMESTEPS);
    scheduler.put("prediction_type", "sample");
    scheduler.put("set_alpha_to_one", true);
    scheduler.put("timestep_spacing", "trailing");
    return scheduler;
  }
}
