/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.util.List;
import picocli.CommandLine.Command;

/** Satellite images, four times enlarged: large ones in tiles, each with its uncertainty. */
@Command(
    name = "examples/enhance",
    sortOptions = false,
    usageHelpAutoWidth = true,
    description = {
      "Send satellite images through Kafka and Flink, and write them four times enlarged, with an"
          + " uncertainty and a contact sheet.",
      "Starts a Kafka broker and a Flink cluster in this process.",
      ""
    })
public final class EnhanceDemo extends ImageDemo {
  private static final List<String> ENLARGING =
      List.of(
          "ConcatConditionedUpscalePipeline",
          "LDMSuperResolutionPipeline",
          "StableDiffusionLatentUpscalePipeline",
          "StableDiffusionUpscalePipeline");

  private EnhanceDemo() {
    super("mini-satellite-x4", ".*\\.tif", 2);
  }

  public static void main(String[] args) {
    DemoCommand.main(new EnhanceDemo(), args);
  }

  /** As {@link #main}, but returns the exit code. */
  static int run(String... args) {
    return DemoCommand.run(new EnhanceDemo(), args);
  }

  @Override
  ReportSheet.Kind sheet() {
    return ReportSheet.Kind.ENLARGED;
  }

  @Override
  void requireTask(ModelFolder folder) {
    if (!ENLARGING.contains(folder.pipelineClass())) {
      throw new DemoException(
          "The model %s cannot enlarge: it is a %s, and examples/enhance takes models of class %s."
              .formatted(folder.path(), folder.pipelineClass(), String.join(", ", ENLARGING)));
    }
  }
}
