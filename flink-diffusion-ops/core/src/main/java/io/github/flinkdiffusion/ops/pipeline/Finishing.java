/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.DwtDctWatermark;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.ModelComponent;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** What is done to decoded pictures: the safety check, then the watermark. Device thread. */
final class Finishing implements AutoCloseable {
  static final String CHECKER = "safety_checker";
  static final String PROCESSOR = "feature_extractor";

  /**
   * A picture as it leaves the pipeline.
   *
   * @param flagged whether the safety checker blackened it
   */
  record Finished(Raster picture, boolean flagged) {}

  private final boolean checkable;
  private final Optional<SafetyChecker> checker;
  private final boolean watermark;

  private Finishing(boolean checkable, Optional<SafetyChecker> checker, boolean watermark) {
    this.checkable = checkable;
    this.checker = checker;
    this.watermark = watermark;
  }

  /** With the folder's safety checker, if it has one and the settings want it. */
  static Finishing open(ModelFolder folder, PipelineSettings settings, ModelCheck check) {
    boolean checkable = folder.has(CHECKER) && folder.has(PROCESSOR);
    if (checkable && settings.safetyChecker() && folder.lacks(CHECKER)) {
      throw new WeightsException(
          "Model folder %s: sub-folder '%s' is missing. Complete the download, or load the model without its safety checker (diffusion.model.safety-checker: false)."
              .formatted(folder.path(), CHECKER));
    }
    return new Finishing(
        checkable,
        checkable && settings.safetyChecker()
            ? Optional.of(
                SafetyChecker.open(
                    ofClass(folder, CHECKER, "StableDiffusionSafetyChecker"),
                    ofClass(folder, PROCESSOR, ClipImageProcessor.CLASSES),
                    new NetworkLoader(settings, check::add),
                    check::keepOpen))
            : Optional.empty(),
        settings.watermark());
  }

  /** A component that has one of these classes; others are refused by name. */
  static ModelComponent ofClass(ModelFolder folder, String name, String... classes) {
    ModelComponent component = folder.component(name);
    if (!List.of(classes).contains(component.className())) {
      throw folder.config().unsupported(name, component.className(), String.join(" or ", classes));
    }
    return component;
  }

  /** Whether pictures are checked; empty where the folder has no checker. */
  Optional<Boolean> checks() {
    return checkable ? Optional.of(checker.isPresent()) : Optional.empty();
  }

  /**
   * @param decoded finite values, about 0..1: the reference marks what the decoder put out, and
   *     clips afterwards
   */
  List<Finished> finish(List<Raster> decoded) {
    List<SafetyVerdict> verdicts =
        checker
            .map(present -> present.check(decoded.stream().map(Finishing::clipped).toList()))
            .orElse(List.of());
    List<Finished> finished = new ArrayList<>(decoded.size());
    for (int i = 0; i < decoded.size(); i++) {
      Raster picture = decoded.get(i);
      boolean flagged = false;
      if (!verdicts.isEmpty()) {
        flagged = verdicts.get(i).flagged();
        picture = verdicts.get(i).shown(picture);
      }
      if (watermark
          && picture.channels() == 3
          && DwtDctWatermark.fits(picture.height(), picture.width())) {
        picture = DwtDctWatermark.STABLE_DIFFUSION_XL.embed(picture);
      }
      finished.add(new Finished(clipped(picture), flagged));
    }
    return finished;
  }

  private static Raster clipped(Raster picture) {
    float[] values = picture.data().clone();
    for (int i = 0; i < values.length; i++) {
      values[i] = Math.min(1, Math.max(0, values[i]));
    }
    return new Raster(picture.channels(), picture.height(), picture.width(), values);
  }

  @Override
  public void close() {
    checker.ifPresent(SafetyChecker::close);
  }
}
