/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

/**
 * Admission: how many waiting requests are started at a boundary.
 *
 * <p>Besides the rows that run, as many again are kept ready for each shape. So a call is full
 * although requests leave at every step, a request of another shape or of higher priority finds
 * room and takes its turn at once, and what is started ahead (noise and encoded text on the heap)
 * stays bounded.
 */
final class Admission {
  private final BatchPolicy policy;

  Admission(BatchPolicy policy) {
    this.policy = policy;
  }

  /**
   * @param waiting requests that wait
   * @param startedRows rows of all started trajectories that still have steps to do
   * @param shapes number of different batch keys among these
   * @return how many to start now, 0 .. waiting; before it is started a request counts as one row
   */
  int admit(int waiting, int startedRows, int shapes) {
    long room = 2L * policy.rowLimit() * Math.max(1, shapes) - startedRows;
    return (int) Math.max(0, Math.min(waiting, room));
  }
}
