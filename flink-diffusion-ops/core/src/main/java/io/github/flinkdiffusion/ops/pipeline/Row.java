/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.List;

/**
 * What one row of a network call is conditioned on.
 *
 * @param channels appended to the sample's channels, as high and wide as the sample; may be empty
 * @param inputs the network's further inputs after sample and timestep, one row of each: {@code
 *     float[]} or {@code long[]}, as the pipeline's {@link Denoiser} says
 */
record Row(float[] channels, List<Object> inputs) {
  private static final float[] NOTHING = new float[0];

  Row {
    inputs = List.copyOf(inputs);
  }

  /** Nothing is appended to the sample. */
  static Row of(Object... inputs) {
    return new Row(NOTHING, List.of(inputs));
  }

  /** This row with channels appended to the sample. */
  Row with(float[] appended) {
    return new Row(appended, inputs);
  }
}
