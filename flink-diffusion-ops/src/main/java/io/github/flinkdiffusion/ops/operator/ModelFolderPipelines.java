package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.torchscript.StorageType;
import java.nio.file.Path;
import java.util.Objects;

/** Pipelines from a model folder that every task manager finds under the same path. */
final class ModelFolderPipelines implements PipelineFactory {
  private static final long serialVersionUID = 1L;

  private final String folder;

  /** Null: what suits the device. */
  private final StorageType precision;

  /**
   * @param folder in diffusers' layout
   * @param precision of the networks; null is float16 on a GPU and float32 on the CPU, which has no
   *     fast half precision
   */
  ModelFolderPipelines(String folder, StorageType precision) {
    this.folder = Objects.requireNonNull(folder);
    this.precision = precision;
  }

  @Override
  public String model() {
    return Path.of(folder).toAbsolutePath().normalize()
        + (precision == null ? "" : " as " + precision);
  }

  @Override
  public String resolve(String device) {
    return DeviceSpec.parse(device).toString();
  }

  @Override
  public DiffusionPipeline open(String device) {
    PipelineSettings suiting = PipelineSettings.on(DeviceSpec.parse(device));
    return Pipelines.open(
        Path.of(folder), precision == null ? suiting : suiting.withPrecision(precision));
  }
}
