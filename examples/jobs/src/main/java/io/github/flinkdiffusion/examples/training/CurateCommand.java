/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import io.github.flinkdiffusion.examples.training.data.Curation;
import io.github.flinkdiffusion.examples.training.data.TrainingDataException;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.failure.FlinkDiffusionException;
import io.github.flinkdiffusion.ops.pipeline.PictureSafety;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Chooses what of a folder of images is trained on. */
@Command(
    name = "curate",
    mixinStandardHelpOptions = true,
    description =
        "Chooses which images of a folder to train on: readable ones with an allowed license that a"
            + " safety checker does not flag, near-duplicates once. Writes kept.txt (data.only of a"
            + " recipe), dropped.csv and DATASHEET.md.")
final class CurateCommand implements Callable<Integer> {
  private static final String AUTOMATIC = "auto";

  @Option(names = "--images", required = true, description = "Folder of images.")
  private Path images;

  @Option(names = "--out", required = true, description = "Folder of the report.")
  private Path out;

  @Option(
      names = "--near",
      defaultValue = "6",
      description =
          "Bits of 64 in which the hashes of near-duplicates differ at most (default:"
              + " ${DEFAULT-VALUE}).")
  private int near;

  @Option(
      names = "--licenses",
      description =
          "List of licenses: lines of a path in the folder (a file, a folder or .), a comma and a"
              + " license. Images without one are left out.")
  private Path licenses;

  @Option(
      names = "--allow",
      split = ",",
      description = "Licenses that are allowed, with commas between them (default: all).")
  private Set<String> allowed = new LinkedHashSet<>();

  @Option(
      names = "--safety-checker",
      description =
          "Model folder whose safety checker looks at each image (folders safety_checker and"
              + " feature_extractor, such as Stable Diffusion 1.5's). Flagged images are left out"
              + " (default: none).")
  private Path safetyChecker;

  @Override
  public Integer call() throws Exception {
    try (PictureSafety safety = safety()) {
      Curation curation =
          new Curation(
              images,
              near,
              Optional.ofNullable(licenses).map(Curation::licenses),
              allowed,
              Optional.ofNullable(safety));
      Curation.Result result = curation.run();
      curation.write(out, result);
      System.out.printf(
          "%,d images kept, %,d left out; see %s%n",
          result.kept().size(), result.dropped().size(), out.resolve("dropped.csv"));
      return 0;
    } catch (FlinkDiffusionException | TrainingDataException | IllegalArgumentException e) {
      System.err.println("error: " + e.getMessage());
      return 1;
    }
  }

  /** The checker, all of whose weights were found sound; null if none is asked for. */
  private PictureSafety safety() {
    if (safetyChecker == null) {
      return null;
    }
    PictureSafety safety = PictureSafety.open(safetyChecker, Engines.standard().device(AUTOMATIC));
    try {
      safety.digest();
      return safety;
    } catch (RuntimeException e) {
      safety.close();
      throw e;
    }
  }
}
