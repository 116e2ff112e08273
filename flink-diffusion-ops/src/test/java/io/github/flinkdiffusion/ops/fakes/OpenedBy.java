/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.fakes;

import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.io.Serializable;

/**
 * Pipelines that a test opens itself.
 *
 * @param opener serializable where the job is serialized, hence holding nothing of the test then
 */
public record OpenedBy(String model, Opener opener) implements PipelineFactory {

  /** Opens a pipeline on any device. */
  @FunctionalInterface
  public interface Opener extends Serializable {
    DiffusionPipeline open();
  }

  @Override
  public DiffusionPipeline open(String device) {
    return opener.open();
  }
}
