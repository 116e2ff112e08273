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
 * diffusers' T2IAdapter (Mou et al. 2023): features of an image, of the sizes that a UNet's way
 * down has. They do not depend on the noise, so they are computed once.
 */
@Internal
public final class T2IAdapter {
  /** The one method. */
  public static final String FORWARD = "forward";

  private final T2IAdapterConfig config;

  public T2IAdapter(T2IAdapterConfig config) {
    this.config = config;
  }

  /**
   * A graph with {@code forward} of an image whose squares of downscale x downscale pixels are
   * channels already, [N,in_channels downscale downscale,h,w]: all features' values one after the
   * other, [N,V] in float32. Sides of the image are multiples of {@link
   * T2IAdapterConfig#sideMultiple}.
   */
  public Graph graph() {
    Graph graph = new Graph();
    Method forward = graph.method(FORWARD);
    Value image = forward.input("image", 4);
    Value[] features =
        emit(new Scope(forward, "adapter."), image).stream()
            .map(each -> forward.flatten(each, 1, 3))
            .toArray(Value[]::new);
    forward.returns(forward.toFloat(forward.concatenate(1, features)));
    return graph;
  }

  private List<Value> emit(Scope at, Value image) {
    int first = config.channels().get(0);
    int in = config.inChannels() * config.downscale() * config.downscale();
    Method m = at.method();
    List<Value> features = new ArrayList<>();
    if (config.kind() == T2IAdapterConfig.Kind.LIGHT) {
      Value x = m.castAs(image, at.parameter("body.0.in_conv.bias", first / 4));
      int channels = in;
      for (int i = 0; i < config.features().size(); i++) {
        int out = config.features().get(i).channels();
        x = light(at.child("body", i), x, channels, out, config.halves(i));
        channels = out;
        features.add(x);
      }
      return features;
    }
    Value x = m.castAs(image, at.parameter("conv_in.bias", first));
    x = at.conv3x3("conv_in", x, in, first);
    int channels = first;
    for (int i = 0; i < config.channels().size(); i++) {
      int out = config.channels().get(i);
      x = full(at.child("body", i), x, channels, out, config.halves(i));
      channels = out;
      features.add(x);
    }
    return features;
  }

  private Value full(Scope at, Value image, int in, int out, boolean halves) {
    Method m = at.method();
    Value x = halves ? m.averagePool(image, 2) : image;
    x = in == out ? x : at.conv1x1("in_conv", x, in, out);
    for (int i = 0; i < config.layers(); i++) {
      Scope block = at.child("resnets", i);
      Value h = m.relu(block.conv3x3("block1", x, out, out));
      x = m.add(block.conv1x1("block2", h, out, out), x);
    }
    return x;
  }

  private Value light(Scope at, Value image, int in, int out, boolean halves) {
    Method m = at.method();
    int middle = out / 4;
    Value x = halves ? m.averagePool(image, 2) : image;
    x = at.conv1x1("in_conv", x, in, middle);
    for (int i = 0; i < config.layers(); i++) {
      Scope block = at.child("resnets", i);
      Value h = m.relu(block.conv3x3("block1", x, middle, middle));
      x = m.add(block.conv3x3("block2", h, middle, middle), x);
    }
    return at.conv1x1("out_conv", x, middle, out);
  }
}
