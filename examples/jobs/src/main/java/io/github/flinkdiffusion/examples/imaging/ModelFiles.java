/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.network.UNet2DConfig;
import io.github.flinkdiffusion.ops.scheduler.SchedulerConfig;
import io.github.flinkdiffusion.ops.scheduler.TrainingLevels;
import io.github.flinkdiffusion.ops.weights.Config;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The json files of a model folder whose only network is a UNet2DModel.
 *
 * @param index model_index.json
 * @param unet unet/config.json
 * @param scheduler scheduler/scheduler_config.json
 */
record ModelFiles(
    Map<String, Object> index, Map<String, Object> unet, Map<String, Object> scheduler) {
  static final String VERSION = "0.42.0";
  static final int TRAIN_TIMESTEPS = 1000;

  private static final ObjectMapper JSON = new ObjectMapper();

  /**
   * model_index.json of a network that sees the image behind the sample; fields may be added.
   *
   * @param resampling how the image is brought to the sample's size
   * @param target what a sample is
   */
  static Map<String, Object> concatIndex(String pipeline, String resampling, String target) {
    Map<String, Object> index = new TreeMap<>();
    index.put("_class_name", pipeline);
    index.put("_diffusers_version", VERSION);
    index.put("unet", List.of("diffusers", "UNet2DModel"));
    index.put("scheduler", List.of("diffusers", "DDIMScheduler"));
    index.put("concatenation", "sample, image");
    index.put("image_resampling", resampling);
    index.put("value_range", List.of(-1, 1));
    index.put("sample_target", target);
    return index;
  }

  /** What small UNets have in common; the rest is to be added. */
  static Map<String, Object> smallUnet() {
    Map<String, Object> unet = new TreeMap<>();
    unet.put("_class_name", "UNet2DModel");
    unet.put("_diffusers_version", VERSION);
    unet.put("act_fn", "silu");
    unet.put("layers_per_block", 1);
    unet.put("norm_num_groups", 8);
    return unet;
  }

  /**
   * DDPM's schedule, for networks that predict the clean sample itself; whether that is clipped is
   * to be added.
   */
  static Map<String, Object> ddpmSchedule() {
    Map<String, Object> scheduler = new TreeMap<>();
    scheduler.put("_class_name", "DDIMScheduler");
    scheduler.put("_diffusers_version", VERSION);
    scheduler.put("beta_end", 0.02);
    scheduler.put("beta_schedule", "linear");
    scheduler.put("beta_start", 1e-4);
    scheduler.put("num_train_timesteps", TRAIN_TIMESTEPS);
    scheduler.put("prediction_type", "sample");
    scheduler.put("set_alpha_to_one", true);
    scheduler.put("timestep_spacing", "trailing");
    return scheduler;
  }

  static Path weights(Path folder) {
    return folder.resolve("unet/diffusion_pytorch_model.safetensors");
  }

  /** By file name, relative to the model folder. */
  Map<String, Map<String, Object>> files() {
    return Map.of(
        "model_index.json", index,
        "unet/config.json", unet,
        "scheduler/scheduler_config.json", scheduler);
  }

  UNet2DConfig network() {
    return UNet2DConfig.from(Config.of("unet/config.json", JSON.valueToTree(unet)));
  }

  /** The noise levels that are trained at. */
  TrainingLevels levels() {
    return TrainingLevels.of(
        SchedulerConfig.fromJson(JSON.valueToTree(scheduler), "scheduler/scheduler_config.json"));
  }

  void write(Path folder) throws IOException {
    for (Map.Entry<String, Map<String, Object>> file : files().entrySet()) {
      Path path = folder.resolve(file.getKey());
      Files.createDirectories(path.getParent());
      Files.writeString(
          path, JSON.writerWithDefaultPrettyPrinter().writeValueAsString(file.getValue()) + "\n");
    }
  }
}
