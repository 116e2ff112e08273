/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import java.io.Serializable;
import org.apache.flink.annotation.Internal;

/** How a task manager comes by its pipeline: travels in the job, opens there. */
@Internal
public interface PipelineFactory extends Serializable {

  /**
   * Names what is loaded. Operators whose factories return equal names share one loaded model for
   * each device and process, so the name covers all that makes a difference: folder and precision.
   */
  String model();

  /**
   * Tells whether the model's files are those that they were; cheap, called for each task. When it
   * changes, {@link #digest} decides whether the model that is loaded still is the right one.
   */
  default String files() {
    return "";
  }

  /**
   * Digest of the model as its files are now, which an opened pipeline's {@code model().digest()}
   * would be. Called when {@link #files} has changed while the model is loaded; may read them all.
   */
  default String digest() {
    throw new UnsupportedOperationException("A factory whose files change says their digest.");
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

  /**
   * Loads the model. Called on the device's own thread, which makes all calls to the pipeline and
   * closes it in the end.
   *
   * @param device as {@link #resolve} returned it
   * @throws Exception when it cannot be loaded; the task fails with it
   */
  DiffusionPipeline open(String device) throws Exception;
}
