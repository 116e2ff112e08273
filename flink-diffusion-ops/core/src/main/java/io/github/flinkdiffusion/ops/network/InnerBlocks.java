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
 *
 * <p>Where calls are to decide whether they may be left out, features begin with what the first
 * blocks added, as many tokens again.
 */
final class InnerBlocks {
  /** Behind all blocks that a network may have. */
  private static final int NONE = Integer.MAX_VALUE;

  private final int first;
  private final boolean leftOut;
  private final boolean deciding;

  /** The tokens before the first block. */
  private Value start;

  /** The tokens before the first inner block. */
  private Value before;

  private Value features;
  private Value change;

  private InnerBlocks(int first, boolean leftOut, boolean deciding) {
    this.first = first;
    this.leftOut = leftOut;
    this.deciding = deciding;
  }

  /** Of a method that computes every block and keeps nothing. */
  static InnerBlocks none() {
    return new InnerBlocks(NONE, false, false);
  }

  /** Of a method that computes every block and keeps what those from the given one on add. */
  static InnerBlocks kept(int first, boolean deciding) {
    return new InnerBlocks(first, false, deciding);
  }

  /** Of a method that takes what the blocks from the given one on add as its last input. */
  static InnerBlocks leftOut(int first, boolean deciding) {
    return new InnerBlocks(first, true, deciding);
  }

  /**
   * Whether the method computes a block, which comes after those that have been asked for.
   *
   * @param tokens of the image before it, [N,T,hidden]
   */
  boolean computes(int block, Value tokens) {
    if (block == 0) {
      start = tokens;
    }
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
      Value given = m.input("features", 3);
      if (deciding) {
        change = change(m, m.firstAs(given, 1, tokens, 1));
        given = m.lastAs(given, 1, tokens, 1);
      }
      return m.add(tokens, m.castAs(given, tokens));
    }
    if (before != null) {
      Value added = m.toFloat(m.subtract(tokens, before));
      features = deciding ? m.concatenate(1, addedByFirst(m), added) : added;
    }
    return tokens;
  }

  private Value addedByFirst(Method m) {
    return m.toFloat(m.subtract(before, start));
  }

  private Value change(Method m, Value earlier) {
    Value difference = m.subtract(addedByFirst(m), earlier);
    return m.concatenate(1, meanOfAbsolutes(m, difference), meanOfAbsolutes(m, earlier));
  }

  /** Of each row, [N,1]. */
  private static Value meanOfAbsolutes(Method m, Value tokens) {
    Value absolutes = m.add(m.relu(tokens), m.relu(m.multiply(tokens, -1)));
    return m.meanAlong(m.flatten(absolutes, 1, 2), 1);
  }

  /** What a later call takes, [N,T or 2 T,hidden] in float32; null unless it is kept. */
  Value features() {
    return features;
  }

  /**
   * By how much the first blocks add something else than what the features say, and how much that
   * is: means of absolute values, [N,2] in float32. Null where no call decides.
   */
  Value change() {
    return change;
  }
}
