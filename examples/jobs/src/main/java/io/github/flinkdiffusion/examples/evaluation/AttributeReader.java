/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.evaluation;

import io.github.flinkdiffusion.ops.image.Raster;
import java.util.List;

/** Says of each image which of an attribute's classes it shows. */
interface AttributeReader extends AutoCloseable {
  /** Names of the classes. */
  List<String> classes();

  /** How it knows, in one sentence for the report. */
  String description();

  /** An index of {@link #classes} for each image. */
  int[] read(List<Raster> images);

  @Override
  default void close() {}
}
