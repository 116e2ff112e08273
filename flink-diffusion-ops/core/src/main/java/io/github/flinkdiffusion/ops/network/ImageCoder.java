/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.List;

/**
 * diffusers' Encoder and Decoder, which its autoencoders share: residual blocks that halve the
 * picture's sides from level to level, and those that double them again.
 *
 * @param blockOutChannels channels of each level, the picture's own first
 * @param layersPerBlock residual blocks of an encoder's level; a decoder's has one more
 * @param groups of the norms
 * @param activation {@code act_fn}: of the residual blocks; before the last convolution it is SiLU
 * @param midAttention whether the middle attends
 */
record ImageCoder(
    List<Integer> blockOutChannels,
    int layersPerBlock,
    int groups,
    Activation activation,
    boolean midAttention) {

  /** Fixed in the reference's code. */
  private static final double EPSILON = 1e-6;

  /** [N,in,H,W] to [N,out,h,w], each side divided by 2 per level after the first. */
  Value encode(Scope at, Value image, int in, int out) {
    Method m = at.method();
    int levels = blockOutChannels.size();
    int channels = blockOutChannels.get(0);
    Value x = m.castAs(image, at.parameter("conv_in.bias", channels));
    x = at.conv3x3("conv_in", x, in, channels);
    for (int level = 0; level < levels; level++) {
      Scope block = at.child("down_blocks", level);
      int width = blockOutChannels.get(level);
      for (int i = 0; i < layersPerBlock; i++) {
        x = resnet(channels, width).emit(block.child("resnets", i), x, null);
        channels = width;
      }
      if (level < levels - 1) {
        x = block.child("downsamplers.0").halved(x, channels, false);
      }
    }
    x = mid(at.child("mid_block"), x, channels);
    return at.conv3x3("conv_out", normalized(at, x, channels), channels, out);
  }

  /** [N,in,h,w] to [N,out,H,W]. The latent has the weights' dtype already. */
  Value decode(Scope at, Value latent, int in, int out) {
    Method m = at.method();
    int levels = blockOutChannels.size();
    int channels = blockOutChannels.get(levels - 1);
    Value x = at.conv3x3("conv_in", latent, in, channels);
    x = mid(at.child("mid_block"), x, channels);
    for (int up = 0; up < levels; up++) {
      Scope block = at.child("up_blocks", up);
      int width = blockOutChannels.get(levels - 1 - up);
      for (int i = 0; i <= layersPerBlock; i++) {
        x = resnet(channels, width).emit(block.child("resnets", i), x, null);
        channels = width;
      }
      if (up < levels - 1) {
        x =
            block
                .child("upsamplers.0")
                .conv3x3("conv", m.upsampleNearest(x, 2), channels, channels);
      }
    }
    return at.conv3x3("conv_out", normalized(at, x, channels), channels, out);
  }

  private Value mid(Scope mid, Value x, int channels) {
    x = resnet(channels, channels).emit(mid.child("resnets", 0), x, null);
    if (midAttention) {
      x =
          new SpatialAttention(channels, channels, groups, EPSILON, 1)
              .emit(mid.child("attentions", 0), x);
    }
    return resnet(channels, channels).emit(mid.child("resnets", 1), x, null);
  }

  /** SiLU whatever act_fn says, as the reference has it (Encoder.conv_act, Decoder.conv_act). */
  private Value normalized(Scope at, Value x, int channels) {
    return at.method().silu(at.groupNorm("conv_norm_out", x, channels, groups, EPSILON));
  }

  private ResnetBlock resnet(int in, int out) {
    return new ResnetBlock(in, out, 0, groups, EPSILON, activation);
  }
}
