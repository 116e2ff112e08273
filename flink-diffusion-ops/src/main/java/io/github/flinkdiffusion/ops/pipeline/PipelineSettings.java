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
 * @param archives where networks are written on their way to the device
 * @param safetyChecker whether a safety checker that the model folder has is loaded: the pictures
 *     it flags come out black
 * @param watermark whether pictures get the invisible watermark of Stable Diffusion XL; those with
 *     a side below 256 pixels are too small for it
 */
public record PipelineSettings(
    DeviceSpec device,
    StorageType precision,
    ArchiveCache archives,
    boolean safetyChecker,
    boolean watermark) {
  public PipelineSettings {
    Objects.requireNonNull(device, "device");
    Objects.requireNonNull(precision, "precision");
    Objects.requireNonNull(archives, "archives");
  }

  /**
   * In the precision that suits the device, float16 on a GPU and float32 on the CPU; with the
   * folder's safety checker, without a watermark, keeping no archives.
   */
  public static PipelineSettings on(DeviceSpec device) {
    return new PipelineSettings(
        device,
        device.isGpu() ? StorageType.FLOAT16 : StorageType.FLOAT32,
        ArchiveCache.none(),
        true,
        false);
  }

  public PipelineSettings withPrecision(StorageType other) {
    return new PipelineSettings(device, other, archives, safetyChecker, watermark);
  }

  public PipelineSettings withArchives(ArchiveCache other) {
    return new PipelineSettings(device, precision, other, safetyChecker, watermark);
  }

  public PipelineSettings withSafetyChecker(boolean checks) {
    return new PipelineSettings(device, precision, archives, checks, watermark);
  }

  public PipelineSettings withWatermark(boolean marks) {
    return new PipelineSettings(device, precision, archives, safetyChecker, marks);
  }
}
