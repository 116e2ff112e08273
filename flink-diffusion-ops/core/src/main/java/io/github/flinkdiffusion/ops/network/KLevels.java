/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;

/**
 * The levels of a UNet of k-diffusion's blocks, as the latent upscaler has them (diffusers'
 * KDownBlock2D, KCrossAttnDownBlock2D, KUpBlock2D and KCrossAttnUpBlock2D). They stand by
 * themselves: a level has one skip connection, from its last block on the way down to its first on
 * the way up, which has changed the number of channels when it ends.
 */
final class KLevels {
  /** Channels of a norm's group; the reference has no key for it. */
  static final int GROUP_SIZE = 32;

  private final UNet2DConditionConfig config;
  private final Deque<Value> skips = new ArrayDeque<>();

  KLevels(UNet2DConditionConfig config) {
    this.config = config;
  }

  /** Groups of a norm over that many channels. */
  static int groups(int channels) {
    return Math.max(1, channels / GROUP_SIZE);
  }

  /** Whether a norm over that many channels exists. */
  static boolean areGrouped(int channels) {
    return channels >= GROUP_SIZE && channels % groups(channels) == 0;
  }

  /**
   * Whether the first block on the way up gets a skip connection: not from a block that attends,
   * since the reference's last one gives none.
   */
  static boolean skipsAtBottom(List<UNetBlock> down) {
    return down.get(down.size() - 1) == UNetBlock.K;
  }

  /**
   * Whether a block that attends on the way up is one that the reference takes for its first,
   * without a skip connection and with attention of pixels to each other.
   */
  static boolean isFirst(List<Integer> channels, int level, int timeEmbedding) {
    int out = channels.get(level);
    return out == timeEmbedding && channels.get(Math.max(0, level - 1)) == out;
  }

  /** All levels downwards. */
  Value down(Scope at, Value x, Value time, Value tokens) {
    List<Integer> channels = config.blockOutChannels();
    int last = config.levels() - 1;
    int in = channels.get(0);
    for (int level = 0; level <= last; level++) {
      Scope block = at.child("down_blocks", level);
      int out = channels.get(level);
      boolean attends = config.down().get(level) == UNetBlock.K_CROSS;
      for (int i = 0; i < config.layersPerBlock().get(level); i++) {
        x = resnet(in, out, out, out).emit(block.child("resnets", i), x, time);
        in = out;
        if (attends) {
          x =
              attention(out, config.heads().get(level), level == last)
                  .emit(block.child("attentions", i), x, time, tokens);
        }
      }
      if (level < last || skipsAtBottom(config.down())) {
        skips.push(x);
      }
      if (level < last) {
        x = Fir.halvedMirrored(at.method(), x, out);
      }
    }
    return x;
  }

  /** All levels upwards. */
  Value up(Scope at, Value x, Value time, Value tokens) {
    Method m = at.method();
    List<Integer> channels = config.blockOutChannels();
    for (int up = 0; up < config.levels(); up++) {
      Scope block = at.child("up_blocks", up);
      int level = config.levels() - 1 - up;
      int inner = channels.get(level);
      int end = channels.get(Math.max(0, level - 1));
      boolean attends = config.up().get(up) == UNetBlock.K_CROSS;
      boolean skipped = up > 0 || skipsAtBottom(config.down());
      if (skipped) {
        x = m.concatenate(1, x, skips.pop());
      }
      int in = skipped ? 2 * inner : inner;
      int layers = config.layersPerBlock().get(level);
      for (int i = 0; i < layers; i++) {
        int out = i == layers - 1 ? end : inner;
        // Blocks that attend convolve to the level's channels first.
        x = resnet(in, attends ? inner : out, out, inner).emit(block.child("resnets", i), x, time);
        if (attends) {
          // The reference does not reverse this list.
          x =
              attention(out, config.heads().get(up), !skipped)
                  .emit(block.child("attentions", i), x, time, tokens);
        }
        in = out;
      }
      if (level > 0) {
        x = Fir.doubledMirrored(m, x, end);
      }
    }
    return x;
  }

  /**
   * @param level channels of the level: the reference takes the second norm's groups from them
   */
  private KResnetBlock resnet(int in, int inner, int out, int level) {
    return new KResnetBlock(
        in,
        inner,
        out,
        groups(level),
        config.blockEmbedding(),
        config.epsilon(),
        config.activation());
  }

  private KAttention attention(int channels, int headSize, boolean seesPixels) {
    return new KAttention(
        channels, headSize, config.crossAttentionDim(), config.blockEmbedding(), seesPixels);
  }
}
