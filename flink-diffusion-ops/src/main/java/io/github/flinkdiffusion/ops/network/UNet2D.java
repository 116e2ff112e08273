package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * diffusers' UNet2DModel: the denoising network of DDPM and of latent super-resolution, without a
 * context.
 */
public final class UNet2D {
  private final UNet2DConfig config;

  public UNet2D(UNet2DConfig config) {
    this.config = config;
  }

  /**
   * A graph with {@code forward(sample [N,in,H,W], timestep float32 [N])} giving [N,out,H,W] in
   * float32. H and W are multiples of 2 for each level after the first. {@code class_labels}
   * ({@link ClassEmbedding.Kind} says their shape) is a third input if the config asks for it.
   */
  public Graph graph() {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value sample = forward.input("sample");
    Value timestep = forward.input("timestep");
    Value labels = config.classEmbedding().exists() ? forward.input("class_labels") : null;
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
    Value x = config.centerInput() ? m.add(m.multiply(sample, 2), -1) : sample;
    x = at.conv3x3("conv_in", m.castAs(x, dtype), config.inChannels(), first);
    Deque<Skip> skips = new ArrayDeque<>();
    skips.push(new Skip(x, first));
    int channels = first;
    int levels = config.levels();
    for (int level = 0; level < levels; level++) {
      Scope block = at.child("down_blocks", level);
      boolean attends = config.attentionDown().get(level);
      int out = config.blockOutChannels().get(level);
      for (int i = 0; i < config.layersPerBlock(); i++) {
        x = resnet(channels, out).emit(block.child("resnets", i), x, time);
        channels = out;
        if (attends) {
          x = attention(channels).emit(block.child("attentions", i), x);
        }
        skips.push(new Skip(x, channels));
      }
      if (level < levels - 1) {
        Scope downsampler = block.child("downsamplers.0");
        x =
            attends && config.resnetDownsampling()
                ? resampling(channels, ResnetBlock.Resampling.DOWN).emit(downsampler, x, time)
                : downsampler.halved(x, channels, config.symmetricPadding());
        skips.push(new Skip(x, channels));
      }
    }
    if (config.hasMidBlock()) {
      x = mid(at.child("mid_block"), x, channels, time);
    }
    for (int up = 0; up < levels; up++) {
      Scope block = at.child("up_blocks", up);
      boolean attends = config.attentionUp().get(up);
      int out = config.blockOutChannels().get(levels - 1 - up);
      for (int i = 0; i <= config.layersPerBlock(); i++) {
        Skip skip = skips.pop();
        x = m.concatenate(1, x, skip.value());
        x = resnet(channels + skip.channels(), out).emit(block.child("resnets", i), x, time);
        channels = out;
        if (attends) {
          x = attention(channels).emit(block.child("attentions", i), x);
        }
      }
      if (up < levels - 1) {
        Scope upsampler = block.child("upsamplers.0");
        x =
            attends && config.resnetUpsampling()
                ? resampling(channels, ResnetBlock.Resampling.UP).emit(upsampler, x, time)
                : upsampler.conv3x3("conv", m.upsampleNearest(x, 2), channels, channels);
      }
    }
    x = at.groupNorm("conv_norm_out", x, channels, config.groups(), config.epsilon());
    // SiLU whatever act_fn says, as the reference has it.
    return at.conv3x3("conv_out", m.silu(x), channels, config.outChannels());
  }

  private Value timeEmbedding(Scope at, Value timestep, Value labels, Value dtype) {
    Method m = at.method();
    int first = config.blockOutChannels().get(0);
    ClassEmbedding.TimeInput input =
        new ClassEmbedding.TimeInput(
            first,
            config.timeEmbedding(),
            each ->
                TimestepEmbedding.sinusoidal(
                    at,
                    "time_frequencies",
                    each,
                    first,
                    config.flipSinToCos(),
                    config.frequencyShift()));
    Value time =
        TimestepEmbedding.project(
            at.child("time_embedding"),
            m.castAs(input.projection().apply(timestep), dtype),
            first,
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

  private Value mid(Scope mid, Value x, int channels, Value time) {
    ResnetBlock resnet = resnet(channels, channels, config.midScale(), ResnetBlock.Resampling.NONE);
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

  private SpatialAttention attention(int channels) {
    return new SpatialAttention(channels, headSize(channels), config.groups(), config.epsilon(), 1);
  }

  private int headSize(int channels) {
    return config.headSize() == 0 ? channels : config.headSize();
  }

  private ResnetBlock resnet(int in, int out) {
    return resnet(in, out, 1, ResnetBlock.Resampling.NONE);
  }

  private ResnetBlock resampling(int channels, ResnetBlock.Resampling resampling) {
    return resnet(channels, channels, 1, resampling);
  }

  private ResnetBlock resnet(
      int in, int out, double outputScale, ResnetBlock.Resampling resampling) {
    return new ResnetBlock(
        in,
        out,
        config.timeEmbedding(),
        config.groups(),
        config.epsilon(),
        config.activation(),
        config.timeScaleShift(),
        false,
        outputScale,
        resampling);
  }

  private record Skip(Value value, int channels) {}
}
