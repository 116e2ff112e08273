/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.io.IOException;
import java.nio.file.Path;

/**
 * mini-emoji, whose process ends in the second network call of one request, without a word, as one
 * does that native code ends: a stand-in for a model that libtorch does not survive.
 */
final class DeadlyDevice implements PipelineFactory {
  private static final long serialVersionUID = 1L;

  /** What a shell reports of a process that a segmentation fault has ended. */
  private static final int SEGMENTATION_FAULT = 139;

  private final String folder;
  private final String deadly;

  /**
   * @param folder of mini-emoji
   * @param deadly id of the request
   */
  DeadlyDevice(String folder, String deadly) {
    this.folder = folder;
    this.deadly = deadly;
  }

  @Override
  public String model() {
    return "mini-emoji that does not survive " + deadly;
  }

  @Override
  public DiffusionPipeline open(String device) throws IOException {
    return StandIns.beforeSteps(
        Pipelines.open(Path.of(folder), PipelineSettings.on(Engines.standard().device(device))),
        batch -> {
          if (batch.stream().anyMatch(t -> t.request().id().equals(deadly) && t.step() == 1)) {
            Runtime.getRuntime().halt(SEGMENTATION_FAULT);
          }
        });
  }
}
