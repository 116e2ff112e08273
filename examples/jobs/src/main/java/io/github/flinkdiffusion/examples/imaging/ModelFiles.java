package io.github.flinkdiffusion.examples.imaging;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.network.UNet2DConfig;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import io.github.flinkdiffusion.ops.scheduler.SchedulerConfig;
import io.github.flinkdiffusion.ops.scheduler.Schedulers;
import io.github.flinkdiffusion.ops.weights.Config;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

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

  /** Every training timestep, the last first: its levels are what is trained at. */
  SamplingPlan everyTimestep() {
    SchedulerConfig config =
        SchedulerConfig.fromJson(JSON.valueToTree(scheduler), "scheduler/scheduler_config.json");
    return Schedulers.plan(config, TRAIN_TIMESTEPS);
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
