/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import static io.github.flinkdiffusion.ops.network.ResnetBlock.Resampling.DOWN;
import static io.github.flinkdiffusion.ops.network.ResnetBlock.Resampling.FIR_DOWN;
import static io.github.flinkdiffusion.ops.network.ResnetBlock.Resampling.FIR_UP;
import static io.github.flinkdiffusion.ops.network.ResnetBlock.Resampling.NONE;
import static io.github.flinkdiffusion.ops.network.ResnetBlock.Resampling.UP;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.ArrayDeque;
import java.util.Deque;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' UNet2DModel: the denoising network of DDPM and of latent super-resolution, without a
 * context.
 */
@Internal
public final class UNet2D {
  /** What sums in NCSN++'s blocks are divided by. */
  private static final double SKIP_SCALE = Math.sqrt(2);

  private final UNet2DConfig config;

  public UNet2D(UNet2DConfig config) {
    this.config = config;
  }

  /**
   * A graph with {@code forward(sample [N,in,H,W], timestep float32 [N])} giving [N,out,H,W] in
   * float32. H and W are multiples of 2 for each level after the first. With {@code
   * time_embedding_type} {@code fourier} timesteps are noise levels above 0. {@code class_labels}
   * ({@link ClassEmbedding.Kind} says their shape) is a third input if the config asks for it.
   */
  public Graph graph() {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value sample = forward.input("sample", 4);
    Value timestep = forward.input("timestep", 1);
    Value labels = config.classEmbedding().input(forward, "class_labels");
    forward.returns(forward.toFloat(emit(new Scope(forward, ""), sample, timestep, labels)));
    return graph;
  }

  /**
   * Adds the network to a method; shapes as in {@link #graph()}, result in the weights' dtype.
   *
   * @param labels null for a network without class labels
   */
  public Value emit(Scope at, Value sample, Value timestep, Value labels) {
    Method m = at.method();
    int first = config.blockOutChannels().get(0);
    Value dtype = at.parameter("conv_in.bias", first);
    Value time = timeEmbedding(at, timestep, labels, dtype);
    Value centred = config.centerInput() ? m.add(m.multiply(sample, 2), -1) : sample;
    Value input = m.castAs(centred, dtype);
    Value x = at.conv3x3("conv_in", input, config.inChannels(), first);
    Deque<Skip> skips = new ArrayDeque<>();
    skips.push(new Skip(x, first));
    Value copy = input;
    int channels = first;
    int levels = config.levels();
    for (int level = 0; level < levels; level++) {
      Scope block = at.child("down_blocks", level);
      UNetBlock kind = config.down().get(level);
      int out = config.blockOutChannels().get(level);
      for (int i = 0; i < config.layersPerBlock(); i++) {
        ResnetBlock resnet =
            kind.skips()
                ? skipResnet(channels, out, UNet2DConfig.quarter(channels), NONE)
                : resnet(channels, out, 1, NONE);
        x = resnet.emit(block.child("resnets", i), x, time);
        channels = out;
        if (kind.seesPixels()) {
          x = attention(kind, channels).emit(block.child("attentions", i), x);
        }
        skips.push(new Skip(x, channels));
      }
      if (level < levels - 1) {
        Scope downsampler = block.child("downsamplers.0");
        if (kind.skips()) {
          x =
              skipResnet(channels, channels, UNet2DConfig.quarter(channels), FIR_DOWN)
                  .emit(block.child("resnet_down"), x, time);
          copy = Fir.halved(m, copy, UNet2DConfig.SKIPPED);
          x = m.add(block.conv1x1("skip_conv", copy, UNet2DConfig.SKIPPED, channels), x);
        } else if (kind == UNetBlock.RESNET
            || kind == UNetBlock.ATTENTION && config.resnetDownsampling()) {
          x = resnet(channels, channels, 1, DOWN).emit(downsampler, x, time);
        } else {
          x = downsampler.halved(x, channels, config.symmetricPadding());
        }
        skips.push(new Skip(x, channels));
      }
    }
    if (config.hasMidBlock()) {
      x = mid(at.child("mid_block"), x, channels, time);
    }
    copy = null;
    for (int up = 0; up < levels; up++) {
      Scope block = at.child("up_blocks", up);
      UNetBlock kind = config.up().get(up);
      int out = config.blockOutChannels().get(levels - 1 - up);
      for (int i = 0; i <= config.layersPerBlock(); i++) {
        Skip skip = skips.pop();
        x = m.concatenate(1, x, skip.value());
        ResnetBlock resnet =
            kind.skips()
                ? skipResnet(
                    channels + skip.channels(),
                    out,
                    UNet2DConfig.upGroups(kind, channels, skip.channels()),
                    NONE)
                : resnet(channels + skip.channels(), out, 1, NONE);
        x = resnet.emit(block.child("resnets", i), x, time);
        channels = out;
        if (kind == UNetBlock.ATTENTION) {
          x = attention(kind, channels).emit(block.child("attentions", i), x);
        }
      }
      if (kind == UNetBlock.ATTENTION_SKIP) {
        // One after all residual blocks, where there is one after each on the way down.
        x = attention(kind, channels).emit(block.child("attentions", 0), x);
      }
      copy = copy == null ? null : Fir.doubled(m, copy, UNet2DConfig.SKIPPED);
      if (up < levels - 1) {
        Scope upsampler = block.child("upsamplers.0");
        if (kind.skips()) {
          int groups = UNet2DConfig.quarter(channels);
          Value h = m.silu(block.groupNorm("skip_norm", x, channels, groups, config.epsilon()));
          h = block.conv3x3("skip_conv", h, channels, UNet2DConfig.SKIPPED);
          copy = copy == null ? h : m.add(copy, h);
          x =
              skipResnet(channels, channels, groups, FIR_UP)
                  .emit(block.child("resnet_up"), x, time);
        } else if (kind == UNetBlock.RESNET
            || kind == UNetBlock.ATTENTION && config.resnetUpsampling()) {
          x = resnet(channels, channels, 1, UP).emit(upsampler, x, time);
        } else {
          x = upsampler.conv3x3("conv", m.upsampleNearest(x, 2), channels, channels);
        }
      }
    }
    x = at.groupNorm("conv_norm_out", x, channels, config.groupsOf(channels), config.epsilon());
    // SiLU whatever act_fn says, as the reference has it.
    x = at.conv3x3("conv_out", m.silu(x), channels, config.outChannels());
    if (copy != null) {
      x = m.add(x, copy);
    }
    if (config.fourier()) {
      Value level = m.unsqueeze(m.unsqueeze(m.unsqueeze(timestep, 1), 2), 3);
      x = m.castAs(m.divide(x, level), dtype);
    }
    return x;
  }

  private Value timeEmbedding(Scope at, Value timestep, Value labels, Value dtype) {
    Method m = at.method();
    int inputSize = config.timeInput();
    ClassEmbedding.TimeInput input =
        new ClassEmbedding.TimeInput(
            inputSize, config.timeEmbedding(), each -> projected(at, each));
    Value time =
        TimestepEmbedding.project(
            at.child("time_embedding"),
            m.castAs(projected(at, timestep), dtype),
            inputSize,
            config.timeEmbedding(),
            Activation.SILU);
    return config.classEmbedding().exists()
        ? m.add(
            time,
            config
                .classEmbedding()
                .emit(at.child("class_embedding"), labels, input, Activation.SILU, dtype))
        : time;
  }

  /** Timesteps [N] as [N,timeInput], in float32. */
  private Value projected(Scope at, Value timesteps) {
    return config.fourier()
        // Sines first, whatever flip_sin_to_cos says, as the reference has it.
        ? TimestepEmbedding.fourier(
            at.child("time_proj"), at.method().log(timesteps), config.timeInput() / 2, false)
        : TimestepEmbedding.sinusoidal(
            at,
            "time_frequencies",
            timesteps,
            config.timeInput(),
            config.flipSinToCos(),
            config.frequencyShift());
  }

  private Value mid(Scope mid, Value x, int channels, Value time) {
    ResnetBlock resnet = resnet(channels, channels, config.midScale(), NONE);
    x = resnet.emit(mid.child("resnets", 0), x, time);
    if (config.midAttention()) {
      x =
          new SpatialAttention(
                  channels,
                  headSize(channels),
                  config.midAttentionGroups(),
                  config.epsilon(),
                  config.midScale())
              .emit(mid.child("attentions", 0), x);
    }
    return resnet.emit(mid.child("resnets", 1), x, time);
  }

  private SpatialAttention attention(UNetBlock kind, int channels) {
    return kind.skips()
        ? new SpatialAttention(
            channels,
            headSize(channels),
            UNet2DConfig.SKIP_ATTENTION_GROUPS,
            config.epsilon(),
            SKIP_SCALE)
        : new SpatialAttention(channels, headSize(channels), config.groups(), config.epsilon(), 1);
  }

  private int headSize(int channels) {
    return config.headSize() == 0 ? channels : config.headSize();
  }

  private ResnetBlock resnet(
      int in, int out, double outputScale, ResnetBlock.Resampling resampling) {
    return resnet(in, out, config.groupsOf(in), config.groupsOf(out), outputScale, resampling);
  }

  private ResnetBlock skipResnet(int in, int out, int groups, ResnetBlock.Resampling resampling) {
    return resnet(in, out, groups, UNet2DConfig.quarter(out), SKIP_SCALE, resampling);
  }

  private ResnetBlock resnet(
      int in,
      int out,
      int groups,
      int groupsOut,
      double outputScale,
      ResnetBlock.Resampling resampling) {
    return new ResnetBlock(
        in,
        out,
        config.timeEmbedding(),
        groups,
        groupsOut,
        config.epsilon(),
        config.activation(),
        config.timeScaleShift(),
        false,
        outputScale,
        resampling);
  }

  private record Skip(Value value, int channels) {}
}
