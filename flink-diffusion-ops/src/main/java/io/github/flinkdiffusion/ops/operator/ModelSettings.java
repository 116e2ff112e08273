package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.pipeline.ArchiveCache;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.torchscript.StorageType;
import java.io.Serializable;
import java.nio.file.Path;
import java.util.Objects;
import org.apache.flink.configuration.ReadableConfig;

/**
 * The part of {@link DiffusionOptions} that says which model is loaded and how.
 *
 * @param folder of the model
 * @param pipeline diffusers class that it is run as; null is the one that the folder names
 * @param precision of the networks; null is what suits the device
 * @param archives folder where networks are kept as archives; null keeps none
 * @param safetyChecker whether the folder's safety checker is used
 * @param watermark whether pictures are marked
 */
record ModelSettings(
    String folder,
    String pipeline,
    StorageType precision,
    String archives,
    boolean safetyChecker,
    boolean watermark)
    implements Serializable {
  ModelSettings {
    Objects.requireNonNull(folder, "folder");
  }

  /**
   * @throws DiffusionException naming the option, its value and what would be accepted
   */
  static ModelSettings of(ReadableConfig config) {
    String folder =
        config
            .getOptional(DiffusionOptions.MODEL_FOLDER)
            .orElseThrow(
                () ->
                    new DiffusionException(
                        "The operator needs a model: call model(folder) with a folder in diffusers'"
                            + " layout, or set "
                            + DiffusionOptions.MODEL_FOLDER.key()
                            + "."));
    String pipeline = config.get(DiffusionOptions.MODEL_PIPELINE);
    if (pipeline != null && !Pipelines.supported().contains(pipeline)) {
      throw new DiffusionException(
          "Option %s can not be %s; it takes %s."
              .formatted(
                  DiffusionOptions.MODEL_PIPELINE.key(),
                  pipeline,
                  String.join(", ", Pipelines.supported())));
    }
    return new ModelSettings(
        folder,
        pipeline,
        config.get(DiffusionOptions.MODEL_PRECISION),
        config.get(DiffusionOptions.MODEL_ARCHIVES),
        config.get(DiffusionOptions.MODEL_SAFETY_CHECKER),
        config.get(DiffusionOptions.MODEL_WATERMARK));
  }

  /** Where the model is, the same for all spellings of a path. */
  Path path() {
    return Path.of(folder).toAbsolutePath().normalize();
  }

  PipelineSettings on(DeviceSpec device) {
    PipelineSettings suiting = PipelineSettings.on(device);
    return new PipelineSettings(
        device,
        precision == null ? suiting.precision() : precision,
        archives == null ? ArchiveCache.none() : ArchiveCache.in(Path.of(archives)),
        safetyChecker,
        watermark);
  }
}
