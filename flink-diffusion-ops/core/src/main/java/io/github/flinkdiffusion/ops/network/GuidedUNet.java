/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.ArrayList;
import java.util.List;

/**
 * What rows of a call change inside of a UNet: one number for each of {@link FreeU}'s factors, then
 * one for each self-attention of its transformers, which is 1 where the attention is left out
 * (perturbed-attention guidance, Ahn et al. 2024).
 */
final class GuidedUNet {
  /** Of the way up's first level, then of its second. */
  private static final int IMAGE_FACTORS = 0;

  private static final int SKIP_FACTORS = IMAGE_FACTORS + FreeU.LEVELS;

  /** How many numbers FreeU has. */
  static final int FACTORS = SKIP_FACTORS + FreeU.LEVELS;

  private final Method method;
  private final Value changes;
  private final List<String> selfAttentions = new ArrayList<>();

  /**
   * @param changes [N,{@link #FACTORS} + self-attentions]
   */
  GuidedUNet(Method method, Value changes) {
    this.method = method;
    this.changes = changes;
  }

  /** Those that were asked for, by their place in the network. */
  List<String> selfAttentions() {
    return List.copyOf(selfAttentions);
  }

  /**
   * What a self-attention gives.
   *
   * @param name its place in the network
   * @param attended what it would give, [N,T,C]
   * @param values of the tokens, which they keep where it is left out
   */
  Value attention(String name, Value attended, Value values) {
    Value leftOut = number(FACTORS + selfAttentions.size(), 1);
    selfAttentions.add(name);
    return method.add(
        attended,
        method.multiply(method.castAs(leftOut, attended), method.subtract(values, attended)));
  }

  /**
   * @param level of the way up, counted from the lowest
   */
  Value image(Value x, int channels, int level) {
    return FreeU.image(method, x, channels, number(IMAGE_FACTORS + level, 2));
  }

  /**
   * @param level of the way up, counted from the lowest
   */
  Value skip(Value x, int level) {
    return FreeU.skip(method, x, number(SKIP_FACTORS + level, 2));
  }

  /** [N,1] and more dimensions of 1. */
  private Value number(int index, int dimensions) {
    Value number = method.narrow(changes, 1, index, 1);
    for (int i = 0; i < dimensions; i++) {
      number = method.unsqueeze(number, 1);
    }
    return number;
  }
}
