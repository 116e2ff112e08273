/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import org.apache.flink.annotation.Internal;

/** A denoising network that can leave out its inner blocks, with features of an earlier call. */
@Internal
public interface CachingNetwork {
  /** The method that all graphs have. */
  String FORWARD = "forward";

  /** {@link #cachingGraph}'s method for calls that compute the outer blocks alone. */
  String SHALLOW = "shallow";

  /** A graph of {@link #FORWARD}, which gives the prediction [N,out,H,W] in float32. */
  Graph graph();

  /**
   * A graph that can leave out the inner blocks. Its {@link #FORWARD} is {@link #graph}'s with a
   * second result, the features that the inner blocks make, in float32, a row each. Its {@link
   * #SHALLOW} takes such features after all other inputs, computes the blocks outside of them, and
   * gives {@link #graph}'s result; with the features of the same inputs it is the same.
   *
   * @param branch which blocks are inner: the more, the lower; 0 leaves most out
   * @throws IllegalArgumentException unless the branch is less than {@link #cacheBranches} and not
   *     negative
   */
  Graph cachingGraph(int branch);

  /** Places at which {@link #cachingGraph} can cut; 0 where it can at none. */
  int cacheBranches();
}
