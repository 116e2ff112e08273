/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.ArrayList;
import java.util.List;

/**
 * What one row of a network call is conditioned on.
 *
 * @param channels appended to the sample's channels, as high and wide as the sample; may be empty
 * @param inputs the network's further inputs after sample and timestep, one row of each: {@code
 *     float[]} or {@code long[]}, as the pipeline's {@link Denoiser} says
 * @param tokens of the text, where texts of different lengths cannot share a call, because the
 *     network sees what a shorter one would be filled up with; 0 where they can
 */
record Row(float[] channels, List<Object> inputs, int tokens) {
  private static final float[] NOTHING = new float[0];

  Row {
    inputs = List.copyOf(inputs);
  }

  /** Nothing is appended to the sample. */
  static Row of(Object... inputs) {
    return new Row(NOTHING, List.of(inputs), 0);
  }

  /** This row with another value of an input. */
  Row withInput(int position, Object value) {
    List<Object> others = new ArrayList<>(inputs);
    others.set(position, value);
    return new Row(channels, others, tokens);
  }

  /** This row with channels appended to the sample. */
  Row with(float[] appended) {
    return new Row(appended, inputs, tokens);
  }

  /** This row with more inputs, after those that it has. */
  Row and(List<Object> more) {
    List<Object> all = new ArrayList<>(inputs);
    all.addAll(more);
    return new Row(channels, all, tokens);
  }

  /** This row, which shares calls only with others of as many tokens. */
  Row ofTokens(int count) {
    return new Row(channels, inputs, count);
  }
}
