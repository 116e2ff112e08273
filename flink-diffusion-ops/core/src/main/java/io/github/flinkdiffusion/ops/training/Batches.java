/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;
import org.apache.flink.annotation.Internal;

/**
 * Where a training's batches come from. A batch follows from its position alone, noise and all that
 * is drawn at random included, so a training that was killed needs nothing but the position to go
 * on.
 */
@Internal
@FunctionalInterface
public interface Batches {
  /**
   * The inputs of the objective.
   *
   * @param position counted from 0
   */
  HostTensor[] at(long position);

  /** A generator for the batch at a position; neighbors' draws have nothing in common. */
  static RandomGenerator random(long seed, long position) {
    return new SplittableRandom(seedAt(seed, position));
  }

  /** A seed, at least 0, for the batch at a position. */
  static long seedAt(long seed, long position) {
    long mixed = (seed + position) * 0x9E3779B97F4A7C15L;
    mixed = (mixed ^ (mixed >>> 30)) * 0xBF58476D1CE4E5B9L;
    return (mixed ^ (mixed >>> 27)) & Long.MAX_VALUE;
  }
}
