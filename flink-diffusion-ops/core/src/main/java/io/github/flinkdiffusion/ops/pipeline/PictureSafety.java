/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.ModelComponent;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.nio.file.Path;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * Looks at pictures of any origin with the safety checker of a model folder, without the model. Not
 * thread-safe.
 *
 * <pre>{@code
 * try (PictureSafety safety = PictureSafety.open(folder, DeviceSpec.CPU)) {
 *   boolean flagged = safety.flags(picture);
 * }
 * }</pre>
 */
@Internal
public final class PictureSafety implements AutoCloseable {
  private static final String CHECKER_CLASS = "StableDiffusionSafetyChecker";

  /** Channels beyond these are no color, and the checker knows none but colors. */
  private static final int MOST_CHANNELS = 4;

  private final ModelFolder folder;
  private final ModelCheck check;
  private final SafetyChecker checker;

  private PictureSafety(ModelFolder folder, ModelCheck check, SafetyChecker checker) {
    this.folder = folder;
    this.check = check;
    this.checker = checker;
  }

  /**
   * Loads the checker, and reads all of the folder's weights for {@link #digest}.
   *
   * @param folder a diffusers folder with the components {@code safety_checker} and {@code
   *     feature_extractor}, or a checker alone as transformers writes it
   * @throws io.github.flinkdiffusion.ops.weights.WeightsException naming what is missing, damaged
   *     or not supported
   */
  public static PictureSafety open(Path folder, DeviceSpec device) {
    ModelFolder model = ModelFolder.open(folder);
    boolean alone = model.pipelineClass().equals(CHECKER_CLASS);
    ModelComponent checker =
        Finishing.ofClass(model, alone ? "model" : Finishing.CHECKER, CHECKER_CLASS);
    ModelComponent processor =
        Finishing.ofClass(
            model, alone ? "image_processor" : Finishing.PROCESSOR, ClipImageProcessor.CLASSES);
    ModelCheck check = ModelCheck.begin(model, failure -> failure);
    try {
      SafetyChecker opened =
          SafetyChecker.open(
              checker,
              processor,
              new NetworkLoader(PipelineSettings.on(device), check::add),
              check::keepOpen);
      check.allAreAdded();
      return new PictureSafety(model, check, opened);
    } catch (RuntimeException e) {
      check.close();
      throw e;
    }
  }

  /** Name of the folder, for people. */
  public String name() {
    return folder.name();
  }

  /** SHA-256 over the folder's weights and configs; it has come when all of them were checked. */
  public String digest() {
    return check.digest();
  }

  /**
   * Whether a picture should not be shown.
   *
   * @param picture of any size, values 0..1; they are rounded to 256 levels first
   * @throws ImageException for a picture that the checker cannot look at
   */
  public boolean flags(Raster picture) {
    if (picture.channels() > MOST_CHANNELS) {
      throw new ImageException(
          "The safety checker %s cannot look at an image of %d channels; supported: 1 to %d"
              .formatted(name(), picture.channels(), MOST_CHANNELS));
    }
    return checker.check(List.of(picture)).get(0).flagged();
  }

  @Override
  public void close() {
    checker.close();
    check.close();
  }
}
