/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;

/**
 * The blocks of a transformer behind its first ones, in one method of a graph. What they add to the
 * image's tokens is kept as features, or is an input of the method, which then leaves them out: the
 * residual of the first-block cache (ParaAttention; diffusers' FirstBlockCacheConfig).
 */
final class InnerBlocks {
  /** Behind all blocks that a network may have. */
  private static final int NONE = Integer.MAX_VALUE;

  private final int first;
  private final boolean leftOut;

  /** The tokens before the first inner block. */
  private Value before;

  private Value added;

  private InnerBlocks(int first, boolean leftOut) {
    this.first = first;
    this.leftOut = leftOut;
  }

  /** Of a method that computes every block and keeps nothing. */
  static InnerBlocks none() {
    return new InnerBlocks(NONE, false);
  }

  /** Of a method that computes every block and keeps what those from the given one on add. */
  static InnerBlocks kept(int first) {
    return new InnerBlocks(first, false);
  }

  /** Of a method that takes what the blocks from the given one on add as its last input. */
  static InnerBlocks leftOut(int first) {
    return new InnerBlocks(first, true);
  }

  /**
   * Whether the method computes a block, which comes after those that have been asked for.
   *
   * @param tokens of the image before it, [N,T,hidden]
   */
  boolean computes(int block, Value tokens) {
    if (block == first) {
      before = tokens;
    }
    return block < first || !leftOut;
  }

  /**
   * The image's tokens after all blocks.
   *
   * @param tokens after those that the method computes
   */
  Value after(Method m, Value tokens) {
    if (leftOut) {
      return m.add(tokens, m.castAs(m.input("features", 3), tokens));
    }
    if (before != null) {
      added = m.toFloat(m.subtract(tokens, before));
    }
    return tokens;
  }

  /** What they add, [N,T,hidden] in float32; null unless it is kept. */
  Value added() {
    return added;
  }
}
