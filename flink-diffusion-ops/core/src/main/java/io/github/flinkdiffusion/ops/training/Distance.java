/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import org.apache.flink.annotation.Internal;

/** How far a prediction is from its target, element by element. */
@Internal
public enum Distance {
  /** The squared difference. */
  SQUARED {
    @Override
    Value between(Method m, Value prediction, Value target, Value threshold) {
      Value difference = m.subtract(prediction, target);
      return m.multiply(difference, difference);
    }
  },
  /** The absolute difference. */
  ABSOLUTE {
    @Override
    Value between(Method m, Value prediction, Value target, Value threshold) {
      Value difference = m.subtract(prediction, target);
      return m.add(m.relu(difference), m.relu(m.multiply(difference, -1)));
    }
  },
  /**
   * diffusers' {@code huber}: 2 c (sqrt(d^2 + c^2) - c), squared for small differences and linear
   * for large ones.
   */
  HUBER {
    @Override
    Value between(Method m, Value prediction, Value target, Value threshold) {
      return m.multiply(m.multiply(excess(m, prediction, target, threshold), threshold), 2);
    }
  },
  /** diffusers' {@code smooth_l1}: 2 (sqrt(d^2 + c^2) - c). */
  SMOOTH_ABSOLUTE {
    @Override
    Value between(Method m, Value prediction, Value target, Value threshold) {
      return m.multiply(excess(m, prediction, target, threshold), 2);
    }
  };

  /**
   * @param threshold c, broadcasting to the prediction; read by {@link #hasThreshold} alone
   */
  abstract Value between(Method m, Value prediction, Value target, Value threshold);

  /** Whether it goes from squared to linear somewhere. */
  public boolean hasThreshold() {
    return this == HUBER || this == SMOOTH_ABSOLUTE;
  }

  private static Value excess(Method m, Value prediction, Value target, Value threshold) {
    Value difference = m.subtract(prediction, target);
    Value squares = m.add(m.multiply(difference, difference), m.multiply(threshold, threshold));
    return m.subtract(m.sqrt(squares), threshold);
  }
}
