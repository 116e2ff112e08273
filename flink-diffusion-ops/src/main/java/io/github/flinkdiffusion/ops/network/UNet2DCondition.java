package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.torchscript.Graph;
import io.github.flinkdiffusion.ops.torchscript.Method;
import io.github.flinkdiffusion.ops.torchscript.Value;
import java.util.ArrayDeque;
import java.util.Deque;

/** diffusers' UNet2DConditionModel: the denoising network of Stable Diffusion. */
public final class UNet2DCondition {
  private final UNet2DConditionConfig config;

  public UNet2DCondition(UNet2DConditionConfig config) {
    this.config = config;
  }

  /**
   * A graph with {@code forward(sample [N,in,H,W], timestep float32 [N], context
   * [N,S,cross_attention_dim])} giving [N,out,H,W] in float32. Inputs are float32 whatever the
   * weights' dtype.
   */
  public Graph graph() {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value sample = forward.input("sample");
    Value timestep = forward.input("timestep");
    Value context = forward.input("context");
    forward.returns(forward.toFloat(emit(new Scope(forward, ""), sample, timestep, context)));
    return graph;
  }

  /** Adds the network to a method; shapes as in {@link #graph()}, result in the weights' dtype. */
  public Value emit(Scope at, Value sample, Value timestep, Value context) {
    Method m = at.method();
    int first = config.blockOutChannels().get(0);
    Value dtype = at.parameter("conv_in.bias", first);
    Value tokens = m.castAs(context, dtype);
    Value sinusoidal =
        TimestepEmbedding.sinusoidal(
            at,
            "time_frequencies",
            timestep,
            first,
            config.flipSinToCos(),
            config.frequencyShift());
    Value time =
        TimestepEmbedding.project(
            at.child("time_embedding"), m.castAs(sinusoidal, dtype), first, config.timeEmbedding());

    Value x = at.conv3x3("conv_in", m.castAs(sample, dtype), config.inChannels(), first);
    Deque<Skip> skips = new ArrayDeque<>();
    skips.push(new Skip(x, first));
    int channels = first;
    int levels = config.levels();
    for (int level = 0; level < levels; level++) {
      Scope block = at.child("down_blocks", level);
      int out = config.blockOutChannels().get(level);
      for (int i = 0; i < config.layersPerBlock().get(level); i++) {
        x = resnet(channels, out).emit(block.child("resnets", i), x, time);
        channels = out;
        if (config.crossAttentionDown().get(level)) {
          x = transformer(level).emit(block.child("attentions", i), x, tokens);
        }
        skips.push(new Skip(x, channels));
      }
      if (level < levels - 1) {
        x = block.child("downsamplers.0").conv2d("conv", x, channels, channels, 3, 2, 1);
        skips.push(new Skip(x, channels));
      }
    }
    if (config.hasMidBlock()) {
      Scope mid = at.child("mid_block");
      x = resnet(channels, channels).emit(mid.child("resnets", 0), x, time);
      x = transformer(levels - 1, false).emit(mid.child("attentions", 0), x, tokens);
      x = resnet(channels, channels).emit(mid.child("resnets", 1), x, time);
    }
    for (int up = 0; up < levels; up++) {
      int level = levels - 1 - up;
      Scope block = at.child("up_blocks", up);
      int out = config.blockOutChannels().get(level);
      for (int i = 0; i <= config.layersPerBlock().get(level); i++) {
        Skip skip = skips.pop();
        x = m.concatenate(1, x, skip.value());
        x = resnet(channels + skip.channels(), out).emit(block.child("resnets", i), x, time);
        channels = out;
        if (config.crossAttentionUp().get(up)) {
          x = transformer(level).emit(block.child("attentions", i), x, tokens);
        }
      }
      if (level > 0) {
        // To the size of the next skip, not simply twice: a side that is odd at some level was
        // rounded up on the way down.
        x = m.upsampleNearestAs(x, skips.peek().value());
        x = block.child("upsamplers.0").conv3x3("conv", x, channels, channels);
      }
    }
    x =
        config
            .activation()
            .apply(
                m, at.groupNorm("conv_norm_out", x, channels, config.groups(), config.epsilon()));
    return at.conv3x3("conv_out", x, channels, config.outChannels());
  }

  private ResnetBlock resnet(int in, int out) {
    return new ResnetBlock(
        in, out, config.timeEmbedding(), config.groups(), config.epsilon(), config.activation());
  }

  private Transformer2D transformer(int level) {
    return transformer(level, config.onlyCrossAttention().get(level));
  }

  private Transformer2D transformer(int level, boolean onlyCrossAttention) {
    return new Transformer2D(
        config.blockOutChannels().get(level),
        config.heads().get(level),
        config.crossAttentionDim(),
        config.groups(),
        config.transformerLayers().get(level),
        config.linearProjection(),
        onlyCrossAttention,
        config.upcastAttention());
  }

  private record Skip(Value value, int channels) {}
}
