/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.Arrays;
import org.apache.flink.annotation.Internal;

/**
 * A list of numbers as the value of a {@link Parameter}: sizes, coordinates, explicit timesteps.
 *
 * @param values not changed by anybody after this
 */
@Internal
public record Numbers(double... values) {
  public double at(int index) {
    return values[index];
  }

  public int size() {
    return values.length;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Numbers that && Arrays.equals(values, that.values);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(values);
  }

  @Override
  public String toString() {
    return Arrays.toString(values);
  }
}
