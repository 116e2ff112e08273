/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import org.apache.flink.annotation.Internal;

/**
 * EfficientNet-Lite0, a small classifier of ImageNet (M. Tan and Q. Le, ICML 2019, without squeeze
 * and excitation and with ReLU6), up to the numbers that its last layer reads. A Python package
 * ships its trained weights under a free license, which Inception's have not.
 *
 * <p>Parameter names are those of the Python package efficientnet-lite-pytorch. Batch norms become
 * part of the convolutions before them, and a convolution that halves an image pads it as
 * TensorFlow does: more on the right and at the bottom.
 */
@Internal
public final class EfficientNetLite {
  /** Both sides of a picture, in pixels. */
  public static final int SIDE = 224;

  /** Numbers that describe a picture. */
  public static final int FEATURES = 1280;

  /** The method that gives [N,{@link #FEATURES}]. */
  public static final String FORWARD = "forward";

  private static final double EPSILON = 1e-3;
  private static final double MOST = 6;
  private static final int STEM = 32;

  /** Blocks that follow each other; the first one has the stride. */
  private record Stage(int blocks, int kernel, int stride, int expansion, int out) {}

  private static final Stage[] STAGES = {
    new Stage(1, 3, 1, 1, 16),
    new Stage(2, 3, 2, 6, 24),
    new Stage(2, 5, 2, 6, 40),
    new Stage(3, 3, 2, 6, 80),
    new Stage(3, 5, 1, 6, 112),
    new Stage(4, 5, 2, 6, 192),
    new Stage(1, 3, 1, 6, 320)
  };

  private EfficientNetLite() {}

  /** A graph whose method takes pixels [N,3,{@link #SIDE},{@link #SIDE}], (level - 127) / 128. */
  public static Graph graph() {
    Graph graph = new Graph();
    Method forward = graph.method(FORWARD);
    Value pixels = forward.input("pixels", 4);
    forward.returns(forward.toFloat(features(new Scope(forward, ""), pixels)));
    return graph;
  }

  private static Value features(Scope at, Value pixels) {
    Method m = at.method();
    Value x = m.castAs(pixels, at.parameter("_bn0.bias", STEM));
    x = limited(m, conv(at, "_conv_stem", "_bn0", x, 3, STEM, 3, 2, 1));
    int in = STEM;
    int block = 0;
    for (Stage stage : STAGES) {
      for (int i = 0; i < stage.blocks; i++) {
        x = block(at.child("_blocks", block++), x, in, stage, i == 0 ? stage.stride : 1);
        in = stage.out;
      }
    }
    x = limited(m, conv(at, "_conv_head", "_bn1", x, in, FEATURES, 1, 1, 1));
    return m.squeeze(m.meanAlong(m.flatten(x, 2, 3), 2), 2);
  }

  /** Wider, across the image channel by channel, and narrow again. */
  private static Value block(Scope at, Value x, int in, Stage stage, int stride) {
    Method m = at.method();
    int wide = in * stage.expansion;
    Value y =
        stage.expansion == 1
            ? x
            : limited(m, conv(at, "_expand_conv", "_bn0", x, in, wide, 1, 1, 1));
    y = limited(m, conv(at, "_depthwise_conv", "_bn1", y, wide, wide, stage.kernel, stride, wide));
    y = conv(at, "_project_conv", "_bn2", y, wide, stage.out, 1, 1, 1);
    return stride == 1 && in == stage.out ? m.add(y, x) : y;
  }

  private static Value limited(Method m, Value x) {
    return m.clamp(x, 0, MOST);
  }

  /** A convolution and its batch norm. */
  private static Value conv(
      Scope at,
      String name,
      String normName,
      Value x,
      int in,
      int out,
      int kernel,
      int stride,
      int groups) {
    Method m = at.method();
    Scope norm = at.child(normName);
    Value deviation = m.sqrt(m.add(norm.parameter("running_var", out), EPSILON));
    Value scale = m.divide(norm.parameter("weight", out), deviation);
    Value shift =
        m.subtract(
            norm.parameter("bias", out), m.multiply(norm.parameter("running_mean", out), scale));
    Value weight =
        m.multiply(
            at.child(name).parameter("weight", out, in / groups, kernel, kernel),
            m.unsqueeze(m.unsqueeze(m.unsqueeze(scale, 1), 2), 3));
    int padding = kernel / 2;
    if (stride == 1) {
      return m.conv2d(x, weight, shift, 1, padding, groups);
    }
    // All sides that are halved are even.
    int before = padding - 1;
    return m.conv2d(m.pad(x, before, padding, before, padding), weight, shift, stride, 0, groups);
  }
}
