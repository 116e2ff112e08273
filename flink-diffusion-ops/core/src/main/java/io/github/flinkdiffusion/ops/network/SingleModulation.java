/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;

/**
 * Modulation by adaLN-single (Chen et al. 2023): one layer over the time's embedding gives shifts,
 * scales and gates for all blocks, to which each adds a table of its own.
 */
final class SingleModulation {
  private static final double FINAL_EPSILON = 1e-6;

  private SingleModulation() {}

  /**
   * What all blocks have in common.
   *
   * @param embedded time, [N,size]
   * @return [N,6,size]
   */
  static Value time(Scope single, Value embedded, int size) {
    Method m = single.method();
    return m.unflatten(single.linear("linear", m.silu(embedded), size, 6 * size), 1, 6, size);
  }

  /**
   * Shifts, scales and gates, each [N,1,size].
   *
   * @param time [N,count,size], or [N,1,size]
   */
  static Value[] parts(Scope at, Value time, int count, int size) {
    Method m = at.method();
    Value table = m.add(m.unsqueeze(at.parameter("scale_shift_table", count, size), 0), time);
    Value[] parts = new Value[count];
    for (int i = 0; i < count; i++) {
      parts[i] = m.narrow(table, 1, i, 1);
    }
    return parts;
  }

  /** normed * (1 + scale) + shift, the shift at an index and the scale behind it. */
  static Value modulated(Method m, Value normed, Value[] parts, int index) {
    return m.add(m.multiply(normed, m.add(parts[index + 1], 1)), parts[index]);
  }

  /** A text's states in a token's size (diffusers' PixArtAlphaTextProjection). */
  static Value words(Scope caption, Value states, int textSize, int size) {
    Value words = caption.linear("linear_1", states, textSize, size);
    return caption.linear("linear_2", caption.method().geluTanh(words), size, size);
  }

  /**
   * The last layers: tokens as an image.
   *
   * @param embedded time, [N,size]
   * @param grid of the patches, [N,C,h,w]
   */
  static Value image(
      Scope at, Value x, Value embedded, Value grid, int size, int patch, int channels) {
    Method m = at.method();
    Value[] parts = parts(at, m.unsqueeze(embedded, 1), 2, size);
    Value normed = m.layerNorm(x, size, null, null, FINAL_EPSILON);
    Value out =
        at.linear("proj_out", modulated(m, normed, parts, 0), size, patch * patch * channels);
    return Patches.joinedChannelsLast(m, m.unflattenAs(out, 1, grid, 2), patch, channels);
  }
}
