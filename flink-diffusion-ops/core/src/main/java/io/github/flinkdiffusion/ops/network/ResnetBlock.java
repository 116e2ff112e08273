/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;

/**
 * diffusers' ResnetBlock2D: norm, activation, convolution, twice, with the time embedding between
 * and a shortcut around.
 *
 * @param in channels read
 * @param out channels written
 * @param timeEmbedding size of the time embedding, 0 for none (autoencoders)
 * @param groups groups of the first norm
 * @param groupsOut groups of the second norm
 * @param epsilon of the norms
 * @param activation {@code act_fn}
 * @param scaleShift the time embedding scales and shifts the second norm's output ({@code
 *     resnet_time_scale_shift}), where it is else added before that norm
 * @param timeActivated the time embedding has had its activation already ({@code
 *     resnet_skip_time_act})
 * @param outputScale what the sum with the shortcut is divided by
 * @param resampling what happens to height and width after the first norm
 */
record ResnetBlock(
    int in,
    int out,
    int timeEmbedding,
    int groups,
    int groupsOut,
    double epsilon,
    Activation activation,
    boolean scaleShift,
    boolean timeActivated,
    double outputScale,
    Resampling resampling) {

  /** Height and width of a block's output. */
  enum Resampling {
    NONE,
    /** Halved, by the mean of 2 x 2. */
    DOWN,
    /** Doubled, by repetition. */
    UP,
    /** Halved by {@link Fir}; the shortcut is a convolution. */
    FIR_DOWN,
    /** Doubled by {@link Fir}; the shortcut is a convolution. */
    FIR_UP;

    private boolean hasConvolvedShortcut() {
      return this == FIR_DOWN || this == FIR_UP;
    }
  }

  /** A block that keeps its size. */
  ResnetBlock(
      int in, int out, int timeEmbedding, int groups, double epsilon, Activation activation) {
    this(
        in,
        out,
        timeEmbedding,
        groups,
        groups,
        epsilon,
        activation,
        false,
        false,
        1,
        Resampling.NONE);
  }

  /**
   * @param time silu-activated-later time embedding [N, timeEmbedding], null when there is none
   */
  Value emit(Scope at, Value x, Value time) {
    Method m = at.method();
    Value h = activation.apply(m, at.groupNorm("norm1", x, in, groups, epsilon));
    h = at.conv3x3("conv1", resample(m, h), in, out);
    if (timeEmbedding > 0) {
      h = scaleShift ? scaledAndShifted(at, h, time) : m.add(h, projected(at, time, out));
    }
    if (timeEmbedding == 0 || !scaleShift) {
      h = at.groupNorm("norm2", h, out, groupsOut, epsilon);
    }
    h = at.conv3x3("conv2", activation.apply(m, h), out, out);
    Value shortcut = resample(m, x);
    if (in != out || resampling.hasConvolvedShortcut()) {
      shortcut = at.conv1x1("conv_shortcut", shortcut, in, out);
    }
    Value sum = m.add(shortcut, h);
    return outputScale == 1 ? sum : m.multiply(sum, 1 / outputScale);
  }

  private Value scaledAndShifted(Scope at, Value h, Value time) {
    Method m = at.method();
    Value both = projected(at, time, 2 * out);
    Value scale = m.add(m.narrow(both, 1, 0, out), 1);
    Value shift = m.narrow(both, 1, out, out);
    return m.add(m.multiply(at.groupNorm("norm2", h, out, groupsOut, epsilon), scale), shift);
  }

  private Value projected(Scope at, Value time, int size) {
    Method m = at.method();
    Value activated = timeActivated ? time : activation.apply(m, time);
    Value projected = at.linear("time_emb_proj", activated, timeEmbedding, size);
    return m.unsqueeze(m.unsqueeze(projected, 2), 3);
  }

  private Value resample(Method m, Value x) {
    return switch (resampling) {
      case NONE -> x;
      case DOWN -> m.averagePool(x, 2);
      case UP -> m.upsampleNearest(x, 2);
      case FIR_DOWN -> Fir.halved(m, x, in);
      case FIR_UP -> Fir.doubled(m, x, in);
    };
  }
}
