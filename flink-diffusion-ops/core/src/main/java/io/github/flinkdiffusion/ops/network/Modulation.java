/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.Optional;

/**
 * The vectors by which adaptive layer norms (Peebles and Xie 2022) shift, scale and gate tokens: a
 * linear layer over the activated condition, in parts.
 *
 * @param all [N,1,parts * hidden]
 */
record Modulation(Method m, Value all, int hidden, Optional<Value> kept) {
  private static final double EPSILON = 1e-6;

  /**
   * @param condition [N,hidden]
   */
  static Modulation of(Scope at, String name, Value condition, int hidden, int parts) {
    Method m = at.method();
    Value all = at.linear(name, m.silu(condition), hidden, parts * hidden);
    return new Modulation(m, m.unsqueeze(all, 1), hidden, Optional.empty());
  }

  /**
   * This, whose gates are closed for some rows.
   *
   * @param rows [N,1,1], 1 for rows that go on as they would, 0 for those that are not changed
   */
  Modulation keeping(Value rows) {
    return new Modulation(m, all, hidden, Optional.of(rows));
  }

  /** The part at an index, [N,1,hidden]. */
  Value part(int index) {
    return m.narrow(all, 2, (long) index * hidden, hidden);
  }

  /** A layer norm without weights. */
  Value normed(Value x) {
    return m.layerNorm(x, hidden, null, null, EPSILON);
  }

  /** normed * (1 + scale) + shift. */
  Value modulated(Value normed, int shift, int scale) {
    return m.add(m.multiply(normed, m.add(part(scale), 1)), part(shift));
  }

  /** x + gate * change. */
  Value gated(Value x, int gate, Value change) {
    Value open = kept.map(rows -> m.multiply(part(gate), rows)).orElseGet(() -> part(gate));
    return m.add(x, m.multiply(open, change));
  }

  /** diffusers' FeedForward with {@code gelu-approximate}. */
  static Value feedForward(Scope at, Value x, int hidden) {
    Value inner = at.method().geluTanh(at.linear("net.0.proj", x, hidden, 4 * hidden));
    return at.linear("net.2", inner, 4 * hidden, hidden);
  }

  /** diffusers' AdaLayerNormContinuous, whose scale comes before its shift. */
  static Value continuous(Scope at, Value x, Value condition, int hidden) {
    Modulation modulation = of(at, "linear", condition, hidden, 2);
    return modulation.modulated(modulation.normed(x), 1, 0);
  }
}
