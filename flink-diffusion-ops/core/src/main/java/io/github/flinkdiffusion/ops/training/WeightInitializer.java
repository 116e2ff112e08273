/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.graph.ParameterSource;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Random;
import java.util.function.Predicate;
import org.apache.flink.annotation.Internal;

/**
 * Weights to begin training from, as PyTorch's layers begin: uniform in +-1/sqrt(fan in) for
 * convolutions and linear layers (Kaiming uniform with a = sqrt(5)), ones and zeros for norms, a
 * normal of 0.02 for embeddings, zero for biases.
 *
 * <p>A tensor's values depend on the seed and its name alone.
 */
@Internal
public final class WeightInitializer implements ParameterSource {
  private static final double EMBEDDING_DEVIATION = 0.02;

  private final long seed;
  private final Predicate<String> zeros;

  public WeightInitializer(long seed) {
    this(seed, name -> false);
  }

  /**
   * @param zeros parameters that begin as zeros, such as a network's last convolution, so that the
   *     first predictions are zero (Dhariwal and Nichol 2021)
   */
  public WeightInitializer(long seed, Predicate<String> zeros) {
    this.seed = seed;
    this.zeros = zeros;
  }

  @Override
  public void write(String name, long[] shape, OutputStream out) throws IOException {
    float[] values = values(name, shape);
    ByteBuffer bytes =
        ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    out.write(bytes.array());
  }

  float[] values(String name, long[] shape) {
    long elements = 1;
    for (long size : shape) {
      elements *= size;
    }
    float[] values = new float[Math.toIntExact(elements)];
    boolean weight = name.endsWith(".weight");
    Random random = new Random(seed * 31 + name.hashCode());
    if (zeros.test(name)) {
      return values;
    }
    if (weight && shape.length == 1) {
      Arrays.fill(values, 1f);
    } else if (name.endsWith("embedding.weight")) {
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) (EMBEDDING_DEVIATION * random.nextGaussian());
      }
    } else if (weight) {
      double bound = 1 / Math.sqrt((double) elements / shape[0]);
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) (bound * (2 * random.nextDouble() - 1));
      }
    }
    return values;
  }
}
