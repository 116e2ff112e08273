package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.torchscript.Method;
import io.github.flinkdiffusion.ops.torchscript.Value;

/**
 * diffusers' ResnetBlock2D: norm, activation, convolution, twice, with the time embedding between
 * and a shortcut around.
 *
 * @param in channels read
 * @param out channels written
 * @param timeEmbedding size of the time embedding, 0 for none (autoencoders)
 * @param groups groups of the norms
 * @param epsilon of the norms
 * @param activation {@code act_fn}
 */
record ResnetBlock(
    int in, int out, int timeEmbedding, int groups, double epsilon, Activation activation) {

  /**
   * @param time silu-activated-later time embedding [N, timeEmbedding], null when there is none
   */
  Value emit(Scope at, Value x, Value time) {
    Method m = at.method();
    Value h = activation.apply(m, at.groupNorm("norm1", x, in, groups, epsilon));
    h = at.conv3x3("conv1", h, in, out);
    if (timeEmbedding > 0) {
      Value shift = at.linear("time_emb_proj", activation.apply(m, time), timeEmbedding, out);
      h = m.add(h, m.unsqueeze(m.unsqueeze(shift, 2), 3));
    }
    h = activation.apply(m, at.groupNorm("norm2", h, out, groups, epsilon));
    h = at.conv3x3("conv2", h, out, out);
    Value shortcut = in == out ? x : at.conv1x1("conv_shortcut", x, in, out);
    return m.add(shortcut, h);
  }
}
