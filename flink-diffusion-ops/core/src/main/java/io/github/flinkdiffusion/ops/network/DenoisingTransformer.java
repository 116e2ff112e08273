/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;

/** A transformer whose blocks behind the first ones can be left out of a call. */
abstract class DenoisingTransformer implements CachingNetwork {

  /** Declares a method's inputs and adds the network to it; its result in float32. */
  abstract Value emit(Method method, InnerBlocks inner);

  /** Blocks after each of which, but for the last, those that follow can be left out. */
  abstract int blocks();

  @Override
  public final Graph graph() {
    Graph graph = new Graph();
    Method forward = graph.method(FORWARD);
    forward.returns(emit(forward, InnerBlocks.none()));
    return graph;
  }

  @Override
  public final Graph cachingGraph(int branch) {
    if (branch < 0 || branch >= cacheBranches()) {
      throw new IllegalArgumentException(
          "The network has no block %d behind which others could be left out; it has %d such."
              .formatted(branch, cacheBranches()));
    }
    Graph graph = new Graph();
    Method forward = graph.method(FORWARD);
    InnerBlocks inner = InnerBlocks.kept(branch + 1);
    Value result = emit(forward, inner);
    forward.returns(result, inner.added());
    Method shallow = graph.method(SHALLOW);
    shallow.returns(emit(shallow, InnerBlocks.leftOut(branch + 1)));
    return graph;
  }

  @Override
  public final int cacheBranches() {
    return Math.max(0, blocks() - 1);
  }
}
