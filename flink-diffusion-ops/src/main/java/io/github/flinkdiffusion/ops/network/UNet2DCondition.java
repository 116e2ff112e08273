package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.ArrayDeque;
import java.util.Deque;

/** diffusers' UNet2DConditionModel: the denoising network of the Stable Diffusion family. */
public final class UNet2DCondition {
  private final UNet2DConditionConfig config;

  public UNet2DCondition(UNet2DConditionConfig config) {
    this.config = config;
  }

  /**
   * A graph with {@code forward(sample [N,in,H,W], timestep float32 [N], context
   * [N,S,cross_attention_dim or encoder_hid_dim], ...)} giving [N,out,H,W] in float32. Inputs are
   * float32 whatever the weights' dtype. Behind the context stand, in this order, those that the
   * config asks for: {@code class_labels} ({@link ClassEmbedding.Kind} says their shape), {@code
   * timestep_cond} [N,time_cond_proj_dim], {@code text_embeds} [N,P] and {@code time_ids} [N,K].
   */
  public Graph graph() {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value sample = forward.input("sample");
    Value timestep = forward.input("timestep");
    Value context = forward.input("context");
    Conditions conditions =
        new Conditions(
            config.classEmbedding().exists() ? forward.input("class_labels") : null,
            config.guidanceEmbedding() > 0 ? forward.input("timestep_cond") : null,
            config.textTime().isPresent() ? forward.input("text_embeds") : null,
            config.textTime().isPresent() ? forward.input("time_ids") : null);
    forward.returns(
        forward.toFloat(emit(new Scope(forward, ""), sample, timestep, context, conditions)));
    return graph;
  }

  /**
   * What conditions the network beside timestep and context; null where the config asks for none.
   *
   * @param classLabels as {@link ClassEmbedding.Kind} says
   * @param guidance the embedded guidance scale [N,time_cond_proj_dim]
   * @param pooledText [N,P]
   * @param timeIds sizes and positions in pixels [N,K]
   */
  public record Conditions(Value classLabels, Value guidance, Value pooledText, Value timeIds) {
    public static final Conditions NONE = new Conditions(null, null, null, null);
  }

  /** Adds a network without further conditions to a method. */
  public Value emit(Scope at, Value sample, Value timestep, Value context) {
    return emit(at, sample, timestep, context, Conditions.NONE);
  }

  /** Adds the network to a method; shapes as in {@link #graph()}, result in the weights' dtype. */
  public Value emit(Scope at, Value sample, Value timestep, Value context, Conditions conditions) {
    Method m = at.method();
    int first = config.blockOutChannels().get(0);
    Value dtype = at.parameter("conv_in.bias", first);
    Value tokens = m.castAs(context, dtype);
    if (config.contextProjection() > 0) {
      tokens =
          at.linear(
              "encoder_hid_proj", tokens, config.contextProjection(), config.crossAttentionDim());
    }
    Value time = timeEmbedding(at, timestep, conditions, dtype);
    Value x = config.centerInput() ? m.add(m.multiply(sample, 2), -1) : sample;
    x = conv(at, "conv_in", m.castAs(x, dtype), config.inChannels(), first, config.convInKernel());
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
          x =
              transformer(level, config.transformerLayers().get(level).get(i))
                  .emit(block.child("attentions", i), x, tokens);
        }
        skips.push(new Skip(x, channels));
      }
      if (level < levels - 1) {
        x = block.child("downsamplers.0").halved(x, channels, config.symmetricPadding());
        skips.push(new Skip(x, channels));
      }
    }
    if (config.hasMidBlock()) {
      Scope mid = at.child("mid_block");
      ResnetBlock resnet = resnet(channels, channels, config.midScale());
      x = resnet.emit(mid.child("resnets", 0), x, time);
      if (config.midAttends()) {
        x =
            transformer(levels - 1, config.transformerLayersMid(), false)
                .emit(mid.child("attentions", 0), x, tokens);
        x = resnet.emit(mid.child("resnets", 1), x, time);
      }
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
          x =
              transformer(level, config.transformerLayersUp().get(up).get(i))
                  .emit(block.child("attentions", i), x, tokens);
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
    return conv(at, "conv_out", x, channels, config.outChannels(), config.convOutKernel());
  }

  private static Value conv(Scope at, String name, Value x, int in, int out, int kernel) {
    return at.conv2d(name, x, in, out, kernel, 1, kernel / 2);
  }

  /** The sum of all embeddings [N,timeEmbedding] that the residual blocks see. */
  private Value timeEmbedding(Scope at, Value timestep, Conditions conditions, Value dtype) {
    Method m = at.method();
    int first = config.blockOutChannels().get(0);
    int size = config.timeEmbedding();
    ClassEmbedding.TimeInput input =
        new ClassEmbedding.TimeInput(
            at, first, size, config.flipSinToCos(), config.frequencyShift());
    Scope embedding = at.child("time_embedding");
    Value sinusoidal = m.castAs(input.sinusoidal(timestep), dtype);
    if (config.guidanceEmbedding() > 0) {
      Value guidance = m.castAs(conditions.guidance(), dtype);
      sinusoidal =
          m.add(
              sinusoidal,
              embedding.linearWithoutBias(
                  "cond_proj", guidance, config.guidanceEmbedding(), first));
    }
    Value time = TimestepEmbedding.project(embedding, sinusoidal, first, size, config.activation());
    if (config.timeActivation().isPresent()) {
      time = config.timeActivation().get().apply(m, time);
    }
    if (config.classEmbedding().exists()) {
      Value label =
          config
              .classEmbedding()
              .emit(
                  at.child("class_embedding"),
                  conditions.classLabels(),
                  input,
                  config.activation(),
                  dtype);
      time = config.classConcatenated() ? m.concatenate(-1, time, label) : m.add(time, label);
    }
    if (config.textTime().isPresent()) {
      time = m.add(time, textTime(at, config.textTime().get(), conditions, dtype));
    }
    return config.embeddingActivation().isPresent()
        ? config.embeddingActivation().get().apply(m, time)
        : time;
  }

  private Value textTime(
      Scope at, UNet2DConditionConfig.TextTime settings, Conditions conditions, Value dtype) {
    Method m = at.method();
    Value numbers =
        TimestepEmbedding.sinusoidal(
            at,
            "add_time_frequencies",
            conditions.timeIds(),
            settings.timeSize(),
            config.flipSinToCos(),
            config.frequencyShift());
    Value both = m.concatenate(-1, conditions.pooledText(), m.flatten(numbers, 1, 2));
    return TimestepEmbedding.project(
        at.child("add_embedding"),
        m.castAs(both, dtype),
        settings.inputSize(),
        config.timeEmbedding(),
        Activation.SILU);
  }

  private ResnetBlock resnet(int in, int out) {
    return resnet(in, out, 1);
  }

  private ResnetBlock resnet(int in, int out, double outputScale) {
    return new ResnetBlock(
        in,
        out,
        config.blockEmbedding(),
        config.groups(),
        config.epsilon(),
        config.activation(),
        config.timeScaleShift(),
        outputScale,
        ResnetBlock.Resampling.NONE);
  }

  private Transformer2D transformer(int level, int layers) {
    return transformer(level, layers, config.onlyCrossAttention().get(level));
  }

  private Transformer2D transformer(int level, int layers, boolean onlyCrossAttention) {
    return new Transformer2D(
        config.blockOutChannels().get(level),
        config.heads().get(level),
        config.crossAttentionDim(),
        config.groups(),
        layers,
        config.linearProjection(),
        onlyCrossAttention,
        config.upcastAttention());
  }

  private record Skip(Value value, int channels) {}
}
