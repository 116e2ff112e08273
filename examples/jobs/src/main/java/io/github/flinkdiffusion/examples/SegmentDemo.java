/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.ops.weights.ModelFolder;
import picocli.CommandLine.Command;

/** Slices of a head, and where the brain is. */
@Command(
    name = "examples/segment",
    sortOptions = false,
    usageHelpAutoWidth = true,
    description = {
      "Send medical slices through Kafka and Flink, and write a mask of each, with an uncertainty,"
          + " the regions found (GeoJSON, with areas) and a contact sheet.",
      "Each frame of a DICOM file and each slice of a NIfTI volume has a result of its own. With"
          + " --series, all files of a DICOM series have one together.",
      "Starts a Kafka broker and a Flink cluster in this process.",
      ""
    })
public final class SegmentDemo extends ImageDemo {
  private static final String SEGMENTING = "ConcatConditionedSegmentationPipeline";

  SegmentDemo() {
    super("mini-brain-mask", "slice-\\d+\\.png", 4);
  }

  public static void main(String[] args) {
    DemoCommand.main(new SegmentDemo(), args);
  }

  /** As {@link #main}, but returns the exit code. */
  static int run(String... args) {
    return DemoCommand.run(new SegmentDemo(), args);
  }

  @Override
  void requireTask(ModelFolder folder) {
    if (!folder.pipelineClass().equals(SEGMENTING)) {
      throw new DemoException(
          "The model %s cannot segment: it is a %s, and examples/segment takes models of class %s."
              .formatted(folder.path(), folder.pipelineClass(), SEGMENTING));
    }
  }

  @Override
  ReportSheet.Kind sheet() {
    return ReportSheet.Kind.SEGMENTED;
  }
}
