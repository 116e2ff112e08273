/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.batching.ModelSource;
import io.github.flinkdiffusion.ops.pipeline.Model;
import java.io.Serializable;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/** How a task manager comes by its pipeline: travels in the job, opens there. */
@Internal
public interface PipelineFactory extends ModelSource, Serializable {

  /**
   * The same, but from another folder: another version of the model.
   *
   * @param folder a path, or a name on the hub
   * @throws UnsupportedOperationException where there are no versions
   */
  default PipelineFactory at(String folder) {
    throw new UnsupportedOperationException("Model %s has no versions.".formatted(model()));
  }

  /**
   * What the model's files say that it is, which is known before it is loaded; may wait for files.
   *
   * @return the pipeline's class in diffusers, or empty where it is not known
   * @throws UnusableModelException if the files are not there, or cannot be used
   */
  default Optional<String> pipelineClass() {
    return Optional.empty();
  }

  /**
   * What the model says of itself and of requests, without loading it; empty where only a loaded
   * one says it. May wait for files.
   *
   * @throws UnusableModelException when the files are not there or are no model
   */
  default Optional<Model> described() {
    return Optional.empty();
  }

  /**
   * The device that is meant by a setting, so that {@code auto} and the name of what it stands for
   * share a model. Called on the task's thread.
   *
   * @param device as configured, e.g. {@code auto}, {@code cpu}, {@code gpu:1}
   */
  default String resolve(String device) {
    return device;
  }
}
