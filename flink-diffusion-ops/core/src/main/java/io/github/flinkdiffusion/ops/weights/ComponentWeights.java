/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.nio.file.Path;
import java.util.List;

/** Where a component's tensors are. */
interface ComponentWeights {
  /**
   * Maps them.
   *
   * @param digests what is known of files' digests
   * @throws WeightsException if there are none, only pickled ones, or invalid ones
   */
  TensorStore open(FileDigests digests);

  /** The files that {@link #open} reads; none for a component without weights. */
  List<Path> files();
}
