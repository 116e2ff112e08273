/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.ops.weights.ModelFolder;
import picocli.CommandLine.Command;

/** Scenes, and boxes around what is in them. */
@Command(
    name = "examples/detect",
    sortOptions = false,
    usageHelpAutoWidth = true,
    description = {
      "Send images through Kafka and Flink, and write what is where: boxes with classes and scores"
          + " (GeoJSON), a mask of the classes, and a contact sheet.",
      "Starts a Kafka broker and a Flink cluster in this process.",
      ""
    })
public final class DetectDemo extends ImageDemo {
  private static final String SEGMENTING = "ConcatConditionedSegmentationPipeline";

  DetectDemo() {
    super("mini-detect", "scene-\\d+\\.png", 4);
  }

  public static void main(String[] args) {
    DemoCommand.main(new DetectDemo(), args);
  }

  /** As {@link #main}, but returns the exit code. */
  static int run(String... args) {
    return DemoCommand.run(new DetectDemo(), args);
  }

  @Override
  void requireTask(ModelFolder folder) {
    if (!folder.pipelineClass().equals(SEGMENTING)) {
      throw new DemoException(
          "The model %s finds nothing: it is a %s, and examples/detect takes models of class %s."
              .formatted(folder.path(), folder.pipelineClass(), SEGMENTING));
    }
  }

  @Override
  ReportSheet.Kind sheet() {
    return ReportSheet.Kind.FOUND;
  }
}
