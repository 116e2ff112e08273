/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import java.util.random.RandomGenerator;
import org.apache.flink.annotation.Internal;

/** Normally distributed numbers. */
@Internal
public final class Gaussians {
  private Gaussians() {}

  /** A tensor of them. */
  public static HostTensor.Floats draw(RandomGenerator random, long... shape) {
    long elements = 1;
    for (long size : shape) {
      elements = Math.multiplyExact(elements, size);
    }
    return new HostTensor.Floats(draw(random, Math.toIntExact(elements)), shape);
  }

  static float[] draw(RandomGenerator random, int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }
}
