/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;

/**
 * The sinusoidal embedding of a timestep (Vaswani et al. 2017; diffusers' Timesteps) and the two
 * layers after it.
 */
final class TimestepEmbedding {
  private static final double MAXIMUM_PERIOD = 10_000;
  private static final int TRANSFORMER_INPUT = 256;

  private TimestepEmbedding() {}

  /**
   * @param timesteps float32 [N], or of any shape
   * @param size of the embedding, even
   * @param flipSinToCos cosines first ({@code flip_sin_to_cos})
   * @param frequencyShift {@code freq_shift}
   * @return float32 [N, size]; the embedding is a last dimension more
   */
  static Value sinusoidal(
      Scope at,
      String constantName,
      Value timesteps,
      int size,
      boolean flipSinToCos,
      double frequencyShift) {
    Method m = at.method();
    int half = size / 2;
    float[] frequencies = new float[half];
    for (int i = 0; i < half; i++) {
      frequencies[i] = (float) Math.exp(-Math.log(MAXIMUM_PERIOD) * i / (half - frequencyShift));
    }
    Value frequency = m.graph().constant(at.prefix() + constantName, frequencies);
    Value angle = m.multiply(m.unsqueeze(timesteps, -1), frequency);
    return flipSinToCos
        ? m.concatenate(-1, m.cos(angle), m.sin(angle))
        : m.concatenate(-1, m.sin(angle), m.cos(angle));
  }

  /**
   * Random Fourier features (Tancik et al. 2020; diffusers' GaussianFourierProjection), whose
   * frequencies are a parameter.
   *
   * @param numbers float32 [N], or of any shape
   * @param frequencies how many; the embedding is twice as large
   * @param cosinesFirst {@code flip_sin_to_cos}
   */
  static Value fourier(Scope at, Value numbers, int frequencies, boolean cosinesFirst) {
    Method m = at.method();
    Value frequency = m.toFloat(at.parameter("weight", frequencies));
    // In the reference's order, since a phase may be thousands of radians.
    Value angle =
        m.multiply(m.multiply(m.multiply(m.unsqueeze(numbers, -1), frequency), 2), Math.PI);
    return cosinesFirst
        ? m.concatenate(-1, m.cos(angle), m.sin(angle))
        : m.concatenate(-1, m.sin(angle), m.cos(angle));
  }

  /**
   * The embedding as transformers have it: cosines first, and two layers after it.
   *
   * @param at where the constant is named
   * @param timesteps float32 [N], or of any shape
   * @param dtype of the layers
   */
  static Value ofTransformer(
      Scope at, String constantName, Value timesteps, Value dtype, Scope layers, int size) {
    Value embedding = sinusoidal(at, constantName, timesteps, TRANSFORMER_INPUT, true, 0);
    Value cast = at.method().castAs(embedding, dtype);
    return project(layers, cast, TRANSFORMER_INPUT, size, Activation.SILU);
  }

  /** linear_1, activation, linear_2: [N, in] to [N, out]. */
  static Value project(Scope at, Value embedding, int in, int out, Activation activation) {
    Value h = activation.apply(at.method(), at.linear("linear_1", embedding, in, out));
    return at.linear("linear_2", h, out, out);
  }
}
