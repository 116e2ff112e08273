/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.noise.NoiseSource;

/**
 * All the noise of one trajectory, draw after draw: what its encoded pictures are sampled with, its
 * first sample, and what its scheduler asks for at each step. Draws may be of different shapes.
 *
 * <p>It follows from the request alone: a picture by itself has torch's stream, as in diffusers; a
 * part of a larger picture has what lies at its place in a field that all parts share.
 */
interface TrajectoryNoise {

  /** A request's noise, before the first draw. */
  static TrajectoryNoise of(GenerationRequest request) {
    return request.get(Parameters.TILE_TOP_LEFT) == null
        ? new StreamNoise(request)
        : new PlacedNoise(request);
  }

  /**
   * The next draw, standard normal.
   *
   * @return channels, rows, columns; a fresh array that the caller may keep and change
   */
  float[] gaussian(SampleShape shape);

  /** This, for who knows how many values a draw has but not their shape. */
  default NoiseSource shaped(SampleShape shape) {
    return n -> gaussian(shape);
  }

  /** Another one at the same place in the stream, which is drawn from by itself. */
  TrajectoryNoise copy();

  /** What {@link #restored} goes on from; begins with a magic number of its kind. */
  byte[] saveState();

  /**
   * The same request's noise where it was saved.
   *
   * @throws IllegalArgumentException for what {@link #saveState} of this kind did not write
   */
  TrajectoryNoise restored(byte[] saved);
}
