/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' AutoencoderKLQwenImage for single images. It was made for videos: its convolutions
 * look at the frames before, of which a single image has none. Of their kernels, the part for the
 * image itself is used, so they are convolutions of an image.
 */
@Internal
public final class AutoencoderQwenImage {
  /** Where a vector is normed that has no length: that of {@code torch.nn.functional.normalize}. */
  private static final double SMALLEST_SQUARE = 1e-24;

  private final AutoencoderQwenImageConfig config;

  public AutoencoderQwenImage(AutoencoderQwenImageConfig config) {
    this.config = config;
  }

  /**
   * A graph with {@code encode(x [N,3,H,W])} giving means, then log variances, [N,2z,h,w], and
   * {@code decode(z [N,z,h,w])} giving [N,3,H,W], both in float32.
   */
  public Graph graph() {
    Graph graph = new Graph();
    encode(graph);
    decode(graph);
    return graph;
  }

  /** The same with {@code decode} alone. */
  public Graph decoderGraph() {
    Graph graph = new Graph();
    decode(graph);
    return graph;
  }

  private void encode(Graph graph) {
    Method m = graph.method(AutoencoderKL.ENCODE);
    Value x = m.input("x", 4);
    int latent = 2 * config.latentChannels();
    Scope at = new Scope(m, "");
    Scope encoder = at.child("encoder");
    int channels = config.base();
    Value dtype = encoder.parameter("conv_in.bias", channels);
    x = conv3x3(encoder, "conv_in", m.castAs(x, dtype), config.inChannels(), channels);
    int index = 0;
    for (int level = 0; level < config.multipliers().size(); level++) {
      int out = config.base() * config.multipliers().get(level);
      for (int i = 0; i < config.blocks(); i++) {
        x = residual(encoder.child("down_blocks", index++), x, channels, out);
        channels = out;
      }
      if (level < config.multipliers().size() - 1) {
        Scope down = encoder.child("down_blocks", index++).child("resample");
        x = down.conv2d("1", m.pad(x, 0, 1, 0, 1), out, out, 3, 2, 0);
      }
    }
    x = middle(encoder.child("mid_block"), x, channels);
    x = m.silu(norm(encoder, "norm_out", x, channels, true));
    x = conv3x3(encoder, "conv_out", x, channels, latent);
    m.returns(m.toFloat(conv1x1(at, "quant_conv", x, latent, latent)));
  }

  private void decode(Graph graph) {
    Method m = graph.method(AutoencoderKL.DECODE);
    Value z = m.input("z", 4);
    int latent = config.latentChannels();
    Scope at = new Scope(m, "");
    Scope decoder = at.child("decoder");
    Value dtype = at.parameter("post_quant_conv.bias", latent);
    Value x = conv1x1(at, "post_quant_conv", m.castAs(z, dtype), latent, latent);
    List<Integer> sizes = new ArrayList<>(config.multipliers());
    Collections.reverse(sizes);
    int channels = config.base() * sizes.get(0);
    x = conv3x3(decoder, "conv_in", x, latent, channels);
    x = middle(decoder.child("mid_block"), x, channels);
    for (int level = 0; level < sizes.size(); level++) {
      int out = config.base() * sizes.get(level);
      Scope block = decoder.child("up_blocks", level);
      for (int i = 0; i <= config.blocks(); i++) {
        x = residual(block.child("resnets", i), x, channels, out);
        channels = out;
      }
      if (level < sizes.size() - 1) {
        Scope up = block.child("upsamplers.0.resample");
        x = up.conv3x3("1", m.upsampleNearest(x, 2), out, out / 2);
        channels = out / 2;
      }
    }
    x = m.silu(norm(decoder, "norm_out", x, channels, true));
    x = conv3x3(decoder, "conv_out", x, channels, config.inChannels());
    m.returns(m.toFloat(m.clamp(x, -1, 1)));
  }

  private static Value middle(Scope at, Value x, int channels) {
    Value y = residual(at.child("resnets", 0), x, channels, channels);
    y = attention(at.child("attentions", 0), y, channels);
    return residual(at.child("resnets", 1), y, channels, channels);
  }

  private static Value residual(Scope at, Value x, int in, int out) {
    Method m = at.method();
    Value h = conv3x3(at, "conv1", m.silu(norm(at, "norm1", x, in, true)), in, out);
    h = conv3x3(at, "conv2", m.silu(norm(at, "norm2", h, out, true)), out, out);
    return m.add(in == out ? x : conv1x1(at, "conv_shortcut", x, in, out), h);
  }

  private static Value attention(Scope at, Value x, int channels) {
    Method m = at.method();
    Value h = norm(at, "norm", x, channels, false);
    h = m.unsqueeze(at.tokens(at.conv1x1("to_qkv", h, channels, 3 * channels)), 1);
    Value attended =
        m.attention(
            m.narrow(h, 3, 0, channels),
            m.narrow(h, 3, channels, channels),
            m.narrow(h, 3, 2L * channels, channels),
            false);
    h = at.image(m.squeeze(attended, 1), x);
    return at.addImage(x, at.conv1x1("proj", h, channels, channels));
  }

  /**
   * A vector of each pixel's channels over its root mean square.
   *
   * @param frames whether the weights have a dimension for frames
   */
  private static Value norm(Scope at, String name, Value x, int channels, boolean frames) {
    Method m = at.method();
    Scope layer = at.child(name);
    Value weight =
        frames
            ? layer.parameter("gamma", channels, 1, 1, 1)
            : layer.parameter("gamma", channels, 1, 1);
    Value vector = m.flatten(weight, 0, frames ? 3 : 2);
    Value last = m.permute(x, 0, 2, 3, 1);
    Value normed = m.rmsNorm(last, channels, vector, SMALLEST_SQUARE / channels);
    return m.permute(normed, 0, 3, 1, 2);
  }

  private static Value conv3x3(Scope at, String name, Value x, int in, int out) {
    Method m = at.method();
    Scope layer = at.child(name);
    Value weight = layer.parameter("weight", out, in, 3, 3, 3);
    // The last of three frames is the image; before it there are zeros.
    Value own = m.squeeze(m.narrow(weight, 2, 2, 1), 2);
    return m.conv2d(x, own, layer.parameter("bias", out), 1, 1);
  }

  private static Value conv1x1(Scope at, String name, Value x, int in, int out) {
    Method m = at.method();
    Scope layer = at.child(name);
    Value weight = m.squeeze(layer.parameter("weight", out, in, 1, 1, 1), 2);
    return m.conv2d(x, weight, layer.parameter("bias", out), 1, 0);
  }
}
