/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.Optional;

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
    return cachingGraph(branch, false);
  }

  @Override
  public final Optional<Graph> decidingGraph(int branch) {
    Graph graph = cachingGraph(branch, true);
    Method deciding = graph.method(DECIDING);
    InnerBlocks inner = InnerBlocks.leftOut(branch + 1, true);
    Value result = emit(deciding, inner);
    deciding.returns(deciding.concatenate(1, inner.change(), deciding.flatten(result, 1, 3)));
    return Optional.of(graph);
  }

  private Graph cachingGraph(int branch, boolean deciding) {
    if (branch < 0 || branch >= cacheBranches()) {
      throw new IllegalArgumentException(
          "The network has no block %d behind which others could be left out; it has %d such."
              .formatted(branch, cacheBranches()));
    }
    Graph graph = new Graph();
    Method forward = graph.method(FORWARD);
    InnerBlocks inner = InnerBlocks.kept(branch + 1, deciding);
    Value result = emit(forward, inner);
    forward.returns(result, inner.features());
    Method shallow = graph.method(SHALLOW);
    shallow.returns(emit(shallow, InnerBlocks.leftOut(branch + 1, deciding)));
    return graph;
  }

  @Override
  public final int cacheBranches() {
    return Math.max(0, blocks() - 1);
  }
}
