/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' ControlNetModel (Zhang et al. 2023): a copy of a UNet's way down that sees an image,
 * and adds to what the UNet's way up gets.
 */
@Internal
public final class ControlNet {
  private static final double EPSILON = 1e-5;

  private final ControlNetConfig config;
  private final UNet2DCondition unet;

  public ControlNet(ControlNetConfig config) {
    this.config = config;
    this.unet = new UNet2DCondition(config.way());
  }

  /**
   * A graph of the network alone, with {@code forward} of {@link UNet2DCondition#graph}'s inputs,
   * then {@code image} [N,3,fH,fW] of 0..1, f the {@link ControlNetConfig#scaleFactor}, and {@code
   * scales} [N,{@link ControlNetConfig#residuals}]. It gives the scaled residuals' values one after
   * the other, the middle's last: [N,V], in float32.
   */
  public Graph graph() {
    Graph graph = new Graph();
    Method forward = graph.method(UNet2DCondition.FORWARD);
    UNet2DCondition.Inputs inputs = unet.inputs(forward);
    UNet2DCondition.Residuals residuals =
        emit(
            new Scope(forward, ""),
            inputs,
            forward.input("image", 4),
            config.union().isPresent() ? forward.input("kind", 2) : null,
            forward.input("scales", 2));
    List<Value> all = new ArrayList<>(residuals.down());
    all.add(residuals.middle());
    forward.returns(
        forward.toFloat(
            forward.concatenate(
                1, all.stream().map(each -> forward.flatten(each, 1, 3)).toArray(Value[]::new))));
    return graph;
  }

  /**
   * Adds the network to a method.
   *
   * @param inputs of the UNet
   * @param image of 0..1, [N,3,fH,fW]
   * @param kind [N,kinds], 1 for the image's and 0 for the others; null unless the config has any
   * @param scales [N,residuals] that the residuals are multiplied by, the middle's last; a row of
   *     zeros leaves the UNet as it is; null for ones
   */
  UNet2DCondition.Residuals emit(
      Scope at, UNet2DCondition.Inputs inputs, Value image, Value kind, Value scales) {
    Method m = at.method();
    UNet2DConditionConfig way = config.way();
    int first = way.blockOutChannels().get(0);
    Value dtype = at.parameter("conv_in.bias", first);
    Value tokens = m.castAs(inputs.context(), dtype);
    Value time =
        new UNetTimeEmbedding(way)
            .emit(at, inputs.timestep(), tokens, null, inputs.conditions(), dtype);
    Value x = m.castAs(inputs.sample(), dtype);
    x = at.conv3x3("conv_in", x, way.inChannels(), first);
    Value seen = embedded(at.child("controlnet_cond_embedding"), m.castAs(image, dtype), first);
    if (kind != null) {
      Value kinds = m.castAs(kind, dtype);
      time = m.add(time, kindEmbedding(at, kind, dtype));
      seen = m.add(seen, kindShift(at, seen, kinds, first));
    }
    x = m.add(x, seen);
    ConditionedLevels levels = new ConditionedLevels(way);
    ConditionedLevels.Seen beside =
        new ConditionedLevels.Seen(time, tokens, Transformer2D.Beside.NOTHING);
    List<ConditionedLevels.Skip> skips = levels.down(at, x, beside);
    int last = way.blockOutChannels().get(way.levels() - 1);
    Value bottom = skips.get(skips.size() - 1).value();
    Value middle = levels.middle(at.child("mid_block"), bottom, last, beside);
    Value factors = scales == null ? null : m.castAs(scales, dtype);
    List<Value> residuals = new ArrayList<>();
    for (int i = 0; i < skips.size(); i++) {
      ConditionedLevels.Skip skip = skips.get(i);
      Value own =
          at.conv1x1("controlnet_down_blocks." + i, skip.value(), skip.channels(), skip.channels());
      residuals.add(scaled(m, own, factors, i));
    }
    Value own = at.conv1x1("controlnet_mid_block", middle, last, last);
    return new UNet2DCondition.Residuals(residuals, scaled(m, own, factors, skips.size()));
  }

  /** What residual blocks see of the kinds of images [N,kinds], each as a timestep. */
  private Value kindEmbedding(Scope at, Value kind, Value dtype) {
    Method m = at.method();
    UNet2DConditionConfig way = config.way();
    int size = way.textTime().orElseThrow().timeSize();
    Value numbers =
        TimestepEmbedding.sinusoidal(
            at, "control_type_frequencies", kind, size, way.flipSinToCos(), way.frequencyShift());
    return TimestepEmbedding.project(
        at.child("control_add_embedding"),
        m.castAs(m.flatten(numbers, 1, 2), dtype),
        size * config.union().orElseThrow().kinds(),
        way.timeEmbedding(),
        Activation.SILU);
  }

  /**
   * What a kind of image adds to its features, the same at all pixels. The reference's attention is
   * over the rows of a call, which all are the same image there; so each sees itself alone.
   *
   * @param kinds [N,kinds]
   */
  private Value kindShift(Scope at, Value features, Value kinds, int channels) {
    Method m = at.method();
    ControlNetConfig.Union union = config.union().orElseThrow();
    Value x = m.squeeze(m.squeeze(m.meanAlong(m.meanAlong(features, 2), 3), 3), 2);
    Value table = at.parameter("task_embedding", union.kinds(), channels);
    x = m.add(x, m.matrixProduct(kinds, table));
    for (int i = 0; i < union.layers(); i++) {
      Scope layer = at.child("transformer_layes", i);
      Scope attention = layer.child("attn");
      Value h = layer.layerNorm("ln_1", x, channels, EPSILON);
      Value all =
          m.linear(
              h,
              attention.parameter("in_proj_weight", 3L * channels, channels),
              attention.parameter("in_proj_bias", 3L * channels));
      Value own = m.narrow(all, 1, 2L * channels, channels);
      x = m.add(x, attention.linear("out_proj", own, channels, channels));
      h = layer.layerNorm("ln_2", x, channels, EPSILON);
      h = Activation.QUICK_GELU.apply(m, layer.linear("mlp.c_fc", h, channels, 4 * channels));
      x = m.add(x, layer.linear("mlp.c_proj", h, 4 * channels, channels));
    }
    Value shift = at.linear("spatial_ch_projs", x, channels, channels);
    return m.unsqueeze(m.unsqueeze(shift, 2), 3);
  }

  private Value scaled(Method m, Value residual, Value scales, int index) {
    Value scaled = residual;
    if (scales != null) {
      Value scale = m.unsqueeze(m.unsqueeze(m.narrow(scales, 1, index, 1), 2), 3);
      scaled = m.multiply(residual, scale);
    }
    return config.pooled() ? m.meanAlong(m.meanAlong(scaled, 2), 3) : scaled;
  }

  /** The control image as features of the sample's size. */
  private Value embedded(Scope at, Value image, int channels) {
    Method m = at.method();
    List<Integer> widths = config.embeddingChannels();
    Value colors =
        config.blueFirst()
            ? m.concatenate(
                1, m.narrow(image, 1, 2, 1), m.narrow(image, 1, 1, 1), m.narrow(image, 1, 0, 1))
            : image;
    Value x = m.silu(at.conv3x3("conv_in", colors, config.conditioningChannels(), widths.get(0)));
    for (int i = 0; i < widths.size() - 1; i++) {
      int in = widths.get(i);
      x = m.silu(at.conv3x3("blocks." + 2 * i, x, in, in));
      x = m.silu(at.conv2d("blocks." + (2 * i + 1), x, in, widths.get(i + 1), 3, 2, 1));
    }
    return at.conv3x3("conv_out", x, widths.get(widths.size() - 1), channels);
  }
}
