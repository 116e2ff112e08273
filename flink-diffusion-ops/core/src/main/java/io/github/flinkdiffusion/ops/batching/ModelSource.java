/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import org.apache.flink.annotation.Internal;

/** A model that can be loaded, any number of times. */
@Internal
public interface ModelSource {

  /**
   * Names what is loaded. Sources of equal names share one loaded model for each device and
   * process, so the name covers all that makes a difference: folder and precision. Cheap.
   */
  String model();

  /**
   * Tells whether the model's files are those that they were. When it changes, {@link #digest}
   * decides whether the model that is loaded still is the right one. Called when a task begins to
   * use the model; may wait for files.
   */
  default String files() {
    return "";
  }

  /**
   * Digest of the model as its files are now, which an opened pipeline's {@code model().digest()}
   * would be. Called when {@link #files} has changed while the model is loaded; may read them all.
   */
  default String digest() {
    throw new UnsupportedOperationException("A source whose files change says their digest.");
  }

  /**
   * Memory that the model's weights take on the device, in bytes, as far as is known before it is
   * loaded. Zero takes no part in the budget. May wait for files.
   *
   * @param device where it would run
   */
  default long bytes(String device) {
    return 0;
  }

  /**
   * Loads the model. Called on the device's own thread, which makes all calls to the pipeline and
   * closes it in the end.
   *
   * @throws Exception when it cannot be loaded
   */
  DiffusionPipeline open(String device) throws Exception;
}
