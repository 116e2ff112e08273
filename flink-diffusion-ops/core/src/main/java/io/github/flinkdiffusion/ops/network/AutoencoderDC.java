/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.network.AutoencoderDCConfig.Level;
import java.util.Arrays;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' AutoencoderDC (Chen et al. 2024, deep compression): a latent's pixel stands for up to
 * 32 of the image's along a side. Pixels become channels and back where levels meet.
 */
@Internal
public final class AutoencoderDC {
  private static final int GATED = 4;

  private final AutoencoderDCConfig config;

  public AutoencoderDC(AutoencoderDCConfig config) {
    this.config = config;
  }

  /** A graph with {@code encode(x [N,3,H,W])} giving latents, and {@code decode(z)}. */
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
    Scope at = new Scope(m, "encoder.");
    Value image = m.input("x", 4);
    List<Level> levels = config.encoder();
    int latent = config.latentChannels();
    int last = levels.size() - 1;
    Value x = m.castAs(image, at.parameter("conv_out.bias", latent));
    if (levels.get(0).layers() > 0) {
      x = at.conv3x3("conv_in", x, config.inChannels(), levels.get(0).channels());
    } else {
      x = down(at.child("conv_in"), x, config.inChannels(), levels.get(1).channels(), false);
    }
    for (int i = 0; i < levels.size(); i++) {
      Level level = levels.get(i);
      Scope block = at.child("down_blocks", i);
      x = layers(block, 0, x, level);
      if (i < last && level.layers() > 0) {
        x =
            down(
                block.child("" + level.layers()),
                x,
                level.channels(),
                levels.get(i + 1).channels(),
                true);
      }
    }
    int channels = levels.get(last).channels();
    Value out = at.conv3x3("conv_out", x, channels, latent);
    m.returns(m.toFloat(config.outShortcut() ? m.add(out, mean(m, x, channels / latent)) : out));
  }

  private void decode(Graph graph) {
    Method m = graph.method(AutoencoderKL.DECODE);
    Scope at = new Scope(m, "decoder.");
    List<Level> levels = config.decoder();
    int latent = config.latentChannels();
    int last = levels.size() - 1;
    int channels = levels.get(last).channels();
    Value z = m.castAs(m.input("z", 4), at.parameter("conv_in.bias", channels));
    Value x = at.conv3x3("conv_in", z, latent, channels);
    if (config.inShortcut()) {
      x = m.add(x, repeated(m, z, channels / latent));
    }
    for (int i = last; i >= 0; i--) {
      Level level = levels.get(i);
      Scope block = at.child("up_blocks", i);
      boolean joined = i < last && level.layers() > 0;
      if (joined) {
        x = up(block.child("0"), x, levels.get(i + 1).channels(), level.channels(), true);
      }
      x = layers(block, joined ? 1 : 0, x, level);
    }
    boolean whole = levels.get(0).layers() > 0;
    channels = levels.get(whole ? 0 : 1).channels();
    x = m.relu(SanaBlocks.norm(at, "norm_out", x, channels));
    x =
        whole
            ? at.conv3x3("conv_out", x, channels, config.inChannels())
            : up(at.child("conv_out"), x, channels, config.inChannels(), false);
    m.returns(m.toFloat(x));
  }

  private Value layers(Scope at, int first, Value x, Level level) {
    for (int i = 0; i < level.layers(); i++) {
      Scope layer = at.child("" + (first + i));
      x = level.attention() ? attention(layer, x, level) : residual(layer, x, level.channels());
    }
    return x;
  }

  private static Value residual(Scope at, Value x, int channels) {
    Method m = at.method();
    Value h = m.silu(at.conv3x3("conv1", x, channels, channels));
    h = at.conv2dWithoutBias("conv2", h, channels, channels, 3, 1, 1);
    return m.add(SanaBlocks.norm(at, "norm", h, channels), x);
  }

  /** Linear attention at several scales, then gated convolutions. */
  private Value attention(Scope at, Value x, Level level) {
    Method m = at.method();
    Scope layer = at.child("attn");
    int channels = level.channels();
    int head = config.headSize();
    int heads = channels / head;
    int inner = heads * head;
    Value last = m.permute(x, 0, 2, 3, 1);
    Value all =
        m.permute(
            m.concatenate(
                3,
                layer.linearWithoutBias("to_q", last, channels, inner),
                layer.linearWithoutBias("to_k", last, channels, inner),
                layer.linearWithoutBias("to_v", last, channels, inner)),
            0,
            3,
            1,
            2);
    Value[] scales = new Value[1 + level.kernels().size()];
    scales[0] = all;
    for (int i = 0; i < level.kernels().size(); i++) {
      int kernel = level.kernels().get(i);
      Scope scale = layer.child("to_qkv_multiscale", i);
      Value near =
          m.conv2d(
              all,
              scale.parameter("proj_in.weight", 3 * inner, 1, kernel, kernel),
              null,
              1,
              kernel / 2,
              3 * inner);
      scales[1 + i] =
          m.conv2d(
              near,
              scale.parameter("proj_out.weight", 3 * inner, head, 1, 1),
              null,
              1,
              0,
              3 * heads);
    }
    Value joined = scales.length == 1 ? all : m.concatenate(1, scales);
    // Each group of channels has a query, a key and a value, [N,groups,d,H*W].
    Value groups = m.flatten(m.unflatten(joined, 1, -1, 3 * head), 3, 4);
    // The reference sums up in another order for few pixels, which is the same.
    Value attended =
        SanaBlocks.linear(
            m,
            m.narrow(groups, 2, 0, head),
            m.narrow(groups, 2, head, head),
            m.narrow(groups, 2, 2L * head, head));
    Value pixels = m.transpose(m.flatten(attended, 1, 2), 1, 2);
    Value out = layer.linearWithoutBias("to_out", pixels, inner * scales.length, channels);
    out = m.reshapeAs(m.transpose(out, 1, 2), x);
    x = m.add(SanaBlocks.norm(layer, "norm_out", out, channels), x);
    Scope gated = at.child("conv_out");
    Value h = SanaBlocks.gated(gated, x, channels, GATED * channels, channels);
    return m.add(SanaBlocks.norm(gated, "norm", h, channels), x);
  }

  private Value down(Scope at, Value x, int in, int out, boolean shortcut) {
    Method m = at.method();
    Value h =
        config.unshuffles()
            ? unshuffled(m, at.conv3x3("conv", x, in, out / 4))
            : at.conv2d("conv", x, in, out, 3, 2, 1);
    return shortcut ? m.add(h, mean(m, unshuffled(m, x), in * 4 / out)) : h;
  }

  private Value up(Scope at, Value x, int in, int out, boolean shortcut) {
    Method m = at.method();
    Value h =
        config.shuffles()
            ? shuffled(m, at.conv3x3("conv", x, in, out * 4))
            : at.conv3x3("conv", m.upsampleNearest(x, 2), in, out);
    return shortcut ? m.add(h, shuffled(m, repeated(m, x, out * 4 / in))) : h;
  }

  /** Means of channels that stand side by side. */
  private static Value mean(Method m, Value x, int group) {
    return group == 1 ? x : m.squeeze(m.meanAlong(m.unflatten(x, 1, -1, group), 2), 2);
  }

  /** Each channel several times, side by side. */
  private static Value repeated(Method m, Value x, int times) {
    if (times == 1) {
      return x;
    }
    Value[] same = new Value[times];
    Arrays.fill(same, m.unsqueeze(x, 2));
    return m.flatten(m.concatenate(2, same), 1, 2);
  }

  /** Squares of four pixels as four channels. */
  private static Value unshuffled(Method m, Value x) {
    Value squares = m.unflatten(m.unflatten(x, 2, -1, 2), 4, -1, 2);
    return m.flatten(m.permute(squares, 0, 1, 3, 5, 2, 4), 1, 3);
  }

  /** Four channels as squares of four pixels. */
  private static Value shuffled(Method m, Value x) {
    Value squares = m.permute(m.unflatten(x, 1, -1, 2, 2), 0, 1, 4, 2, 5, 3);
    return m.flatten(m.flatten(squares, 4, 5), 2, 3);
  }
}
