package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.DwtDctWatermark;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** What is done to decoded pictures: the safety check, then the watermark. Device thread. */
final class Finishing implements AutoCloseable {
  private static final String CHECKER = "safety_checker";
  private static final String PROCESSOR = "feature_extractor";

  /**
   * A picture as it leaves the pipeline.
   *
   * @param flagged whether the safety checker blackened it
   */
  record Finished(Raster picture, boolean flagged) {}

  private final Optional<SafetyChecker> checker;
  private final boolean watermark;

  private Finishing(Optional<SafetyChecker> checker, boolean watermark) {
    this.checker = checker;
    this.watermark = watermark;
  }

  /** With the folder's safety checker, if it has one and the settings want it. */
  static Finishing open(ModelFolder folder, PipelineSettings settings) {
    boolean checks = settings.safetyChecker() && folder.has(CHECKER) && folder.has(PROCESSOR);
    return new Finishing(
        checks
            ? Optional.of(
                SafetyChecker.open(
                    folder.component(CHECKER),
                    folder.component(PROCESSOR),
                    new NetworkLoader(
                        settings.device(), settings.precision(), settings.archives())))
            : Optional.empty(),
        settings.watermark());
  }

  List<Finished> finish(List<Raster> pictures) {
    List<SafetyVerdict> verdicts =
        checker.map(present -> present.check(pictures)).orElse(List.of());
    List<Finished> finished = new ArrayList<>(pictures.size());
    for (int i = 0; i < pictures.size(); i++) {
      Raster picture = pictures.get(i);
      boolean flagged = false;
      if (!verdicts.isEmpty()) {
        flagged = verdicts.get(i).flagged();
        picture = verdicts.get(i).shown(picture);
      }
      if (watermark && DwtDctWatermark.fits(picture.height(), picture.width())) {
        picture = DwtDctWatermark.STABLE_DIFFUSION_XL.embed(picture);
      }
      finished.add(new Finished(picture, flagged));
    }
    return finished;
  }

  @Override
  public void close() {
    checker.ifPresent(SafetyChecker::close);
  }
}
