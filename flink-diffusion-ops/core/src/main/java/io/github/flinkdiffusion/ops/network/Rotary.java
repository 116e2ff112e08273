/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.List;

/**
 * Rotary positions of tokens (Su et al. 2021): angles from positions, and heads that are turned by
 * them. Angles are computed in float32.
 */
final class Rotary {
  /** Far below what softmax sees; every precision holds it. */
  private static final double NOT_SEEN = -30_000;

  private Rotary() {}

  /**
   * Angles of positions.
   *
   * @param name of the constant that holds the frequencies
   * @param positions float32 of any shape
   * @param size of the part of a head that this position turns, even
   * @return positions' shape with a last dimension of size / 2 more
   */
  static Value angles(Scope at, String name, Value positions, double theta, int size) {
    float[] frequencies = new float[size / 2];
    for (int i = 0; i < frequencies.length; i++) {
      frequencies[i] = (float) (1 / Math.pow(theta, 2.0 * i / size));
    }
    Method m = at.method();
    return m.multiply(
        m.unsqueeze(positions, -1), m.graph().constant(at.prefix() + name, frequencies));
  }

  /**
   * Angles of a grid of patches, row by row.
   *
   * @param rows of the rows' positions, [h,a]
   * @param columns of the columns' positions, [w,b]
   * @return the rows' and the columns', [h*w,a] and [h*w,b]
   */
  static List<Value> grid(Method m, Value rows, Value columns) {
    Value row = m.unsqueeze(rows, 1);
    Value column = m.unsqueeze(columns, 0);
    Value rowZero = m.multiply(m.narrow(row, 2, 0, 1), 0);
    Value columnZero = m.multiply(m.narrow(column, 2, 0, 1), 0);
    return List.of(
        m.flatten(m.add(row, columnZero), 0, 1), m.flatten(m.add(column, rowZero), 0, 1));
  }

  /** [N,T,heads*d] as heads [N,heads,T,d]. */
  static Value heads(Method m, Value x, int heads, int headSize) {
    return m.transpose(m.unflatten(x, 2, heads, headSize), 1, 2);
  }

  /** Heads [N,heads,T,d] as [N,T,heads*d]. */
  static Value joined(Method m, Value heads) {
    return m.flatten(m.transpose(heads, 1, 2), 2, 3);
  }

  /**
   * What is added to scores so that only some keys are seen.
   *
   * @param seen 1 for keys that are, 0 for others, [N,S]
   * @param dtype of the scores
   * @return [N,1,1,S]
   */
  static Value bias(Method m, Value seen, Value dtype) {
    return m.castAs(m.unsqueeze(m.unsqueeze(bias(m, seen), 1), 1), dtype);
  }

  /** The same of any shape, in float32. */
  static Value bias(Method m, Value seen) {
    return m.multiply(m.add(seen, -1), -NOT_SEEN);
  }

  /**
   * 1 for the first places, 0 for those behind.
   *
   * @param lengths how many are first, whole numbers [N]
   * @param places 0, 1, 2 ... [S]
   * @return [N,S]
   */
  static Value first(Method m, Value lengths, Value places) {
    return m.clamp(m.subtract(m.unsqueeze(lengths, 1), m.unsqueeze(places, 0)), 0, 1);
  }
}
