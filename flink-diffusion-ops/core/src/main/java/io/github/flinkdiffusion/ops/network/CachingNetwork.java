/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/** A denoising network that can leave out its inner blocks, with features of an earlier call. */
@Internal
public interface CachingNetwork {
  /** The method that all graphs have. */
  String FORWARD = "forward";

  /** {@link #cachingGraph}'s method for calls that compute the outer blocks alone. */
  String SHALLOW = "shallow";

  /** {@link #decidingGraph}'s method for calls that say whether the features still hold. */
  String DECIDING = "deciding";

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

  /**
   * A graph whose calls can decide by their own numbers, row by row, whether the inner blocks may
   * be left out; empty for a network that has none. Its {@link #FORWARD} and {@link #SHALLOW} are
   * those of {@link #cachingGraph}, with features that also say what the first blocks added. Its
   * {@link #DECIDING} takes what {@link #SHALLOW} takes and gives, a row each, [N,2 + out H W] in
   * float32: by how much the first blocks add something else than what the features say and how
   * much that is, both as means of absolute values, then {@link #SHALLOW}'s result.
   *
   * @param branch as {@link #cachingGraph}'s
   * @throws IllegalArgumentException as {@link #cachingGraph}
   */
  default Optional<Graph> decidingGraph(int branch) {
    return Optional.empty();
  }

  /** Places at which {@link #cachingGraph} can cut; 0 where it can at none. */
  int cacheBranches();
}
