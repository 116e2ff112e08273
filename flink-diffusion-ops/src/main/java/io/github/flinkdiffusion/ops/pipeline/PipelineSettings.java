package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.torchscript.StorageType;
import java.util.Objects;

/**
 * How a model is loaded.
 *
 * @param device where it runs
 * @param precision of its networks; an autoencoder whose config says {@code force_upcast} stays in
 *     float32
 */
public record PipelineSettings(DeviceSpec device, StorageType precision) {
  public PipelineSettings {
    Objects.requireNonNull(device, "device");
    Objects.requireNonNull(precision, "precision");
  }

  /** In the precision that suits the device: float16 on a GPU, float32 on the CPU. */
  public static PipelineSettings on(DeviceSpec device) {
    return new PipelineSettings(device, device.isGpu() ? StorageType.FLOAT16 : StorageType.FLOAT32);
  }

  public PipelineSettings withPrecision(StorageType other) {
    return new PipelineSettings(device, other);
  }
}
