package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.StableDiffusionPipeline;
import io.github.flinkdiffusion.ops.torchscript.StorageType;
import java.nio.file.Path;
import java.util.Objects;

/**
 * A model folder in diffusers' layout, on a path that every task manager can read.
 *
 * @param folder holds {@code model_index.json}
 * @param precision of the networks on the device
 */
public record ModelFolderPipeline(String folder, Precision precision) implements PipelineFactory {
  private static final long serialVersionUID = 1L;

  public ModelFolderPipeline {
    Objects.requireNonNull(folder, "folder");
    Objects.requireNonNull(precision, "precision");
  }

  /** The folder with {@link Precision#AUTO}. */
  public static ModelFolderPipeline of(String folder) {
    return new ModelFolderPipeline(folder, Precision.AUTO);
  }

  @Override
  public String model() {
    return folder + " as " + precision;
  }

  @Override
  public String resolve(String device) {
    return DeviceSpec.parse(device).toString();
  }

  @Override
  public DiffusionPipeline open(String device) {
    DeviceSpec where = DeviceSpec.parse(device);
    return StableDiffusionPipeline.open(Path.of(folder), where, precision.on(where));
  }

  /** In which numbers the networks compute. */
  public enum Precision {
    /** float16 on a GPU, float32 on the CPU. */
    AUTO,
    FLOAT32,
    FLOAT16,
    BFLOAT16;

    StorageType on(DeviceSpec device) {
      return switch (this) {
        case AUTO -> device.isGpu() ? StorageType.FLOAT16 : StorageType.FLOAT32;
        case FLOAT32 -> StorageType.FLOAT32;
        case FLOAT16 -> StorageType.FLOAT16;
        case BFLOAT16 -> StorageType.BFLOAT16;
      };
    }
  }
}
