/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import org.apache.flink.annotation.Internal;

/**
 * One request on its way from noise to picture. Only the pipeline that made it moves it on, on the
 * device's thread, which alone uses it. Its {@link #snapshot} is for everybody.
 */
@Internal
public interface Trajectory {

  /** What is being made. */
  GenerationRequest request();

  /** Network steps done, 0 .. {@link #totalSteps}. */
  int step();

  /**
   * Network steps in all; above {@link GenerationRequest#steps} for schedulers that call the
   * network more than once a step.
   */
  int totalSteps();

  /** True when all steps are done and only decoding is left. */
  default boolean done() {
    return step() >= totalSteps();
  }

  /** Rows that this trajectory takes in a network call: 1 without guidance, 2 with it. */
  int rows();

  /**
   * What must be equal for trajectories to share a network call: the latent's shape, and whether
   * the next call computes the whole network. Has equals and hashCode; changes with steps alone.
   */
  Object batchKey();

  /**
   * Numbers of a row of a network call, which its memory grows with; the sample's own where the
   * network sees that.
   */
  default int rowSize() {
    return snapshot().sample().length;
  }

  /**
   * Numbers of the sample that {@link DiffusionPipeline#preview} decodes for it; the sample's own
   * where that is not made smaller first.
   */
  default int previewSize() {
    return snapshot().sample().length;
  }

  /**
   * Everything that {@link DiffusionPipeline#restore} needs to go on at this step; where the next
   * step reuses what an earlier one left on the device, at that earlier step. Immutable: later
   * steps do not change it, so any thread may keep and read it. Cheap, since it is taken after
   * every step.
   */
  TrajectorySnapshot snapshot();

  /** Frees what it has on the device, if it is not moved on any more. Device thread; idempotent. */
  default void close() {}
}
