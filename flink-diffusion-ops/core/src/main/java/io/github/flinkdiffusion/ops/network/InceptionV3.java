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
 * Inception v3 (C. Szegedy et al., CVPR 2016) as published values of FID use it: the network of
 * 2015-12-05 with 1008 classes, whose means leave padding out and whose last block has a maximum
 * where the paper has a mean. Parameter names are those of torch-fidelity and pytorch-fid.
 *
 * <p>Batch norms become part of the convolutions before them: the graph computes their weights from
 * the checkpoint's, once a call, which is nothing beside the convolutions themselves.
 */
@Internal
public final class InceptionV3 {
  /** Both sides of a picture, in pixels. */
  public static final int SIDE = 299;

  /** Numbers that FID, KID and PRDC compare. */
  public static final int FEATURES = 2048;

  /** Values before softmax; the first is the background, the last seven have no name. */
  public static final int CLASSES = 1008;

  /**
   * The method that gives [N,{@link #FEATURES} + {@link #CLASSES}]: the features and, behind them,
   * the values before softmax without their bias (torch-fidelity's {@code logits_unbiased}, which
   * the Inception Score is taken from).
   */
  public static final String FORWARD = "forward";

  private static final double EPSILON = 1e-3;

  private InceptionV3() {}

  /** A graph whose method takes pixels [N,3,{@link #SIDE},{@link #SIDE}] from -1 to 1. */
  public static Graph graph() {
    Graph graph = new Graph();
    Method forward = graph.method(FORWARD);
    Value pixels = forward.input("pixels", 4);
    Scope at = new Scope(forward, "");
    Value features = features(at, pixels);
    Value logits = at.linearWithoutBias("fc", features, FEATURES, CLASSES);
    forward.returns(forward.toFloat(forward.concatenate(1, features, logits)));
    return graph;
  }

  private static Value features(Scope at, Value pixels) {
    Method m = at.method();
    Value x = m.castAs(pixels, at.parameter("Conv2d_1a_3x3.bn.bias", 32));
    x = conv(at, "Conv2d_1a_3x3", x, 3, 32, 3, 2, 0);
    x = conv(at, "Conv2d_2a_3x3", x, 32, 32, 3, 1, 0);
    x = conv(at, "Conv2d_2b_3x3", x, 32, 64, 3, 1, 1);
    x = m.maxPool(x, 3, 2, 0);
    x = conv(at, "Conv2d_3b_1x1", x, 64, 80, 1, 1, 0);
    x = conv(at, "Conv2d_4a_3x3", x, 80, 192, 3, 1, 0);
    x = m.maxPool(x, 3, 2, 0);
    x = large(at.child("Mixed_5b"), x, 192, 32);
    x = large(at.child("Mixed_5c"), x, 256, 64);
    x = large(at.child("Mixed_5d"), x, 288, 64);
    x = halved(at.child("Mixed_6a"), x, 288);
    x = crossed(at.child("Mixed_6b"), x, 128);
    x = crossed(at.child("Mixed_6c"), x, 160);
    x = crossed(at.child("Mixed_6d"), x, 160);
    x = crossed(at.child("Mixed_6e"), x, 192);
    x = halvedAgain(at.child("Mixed_7a"), x);
    x = wide(at.child("Mixed_7b"), x, 1280, false);
    x = wide(at.child("Mixed_7c"), x, FEATURES, true);
    return m.squeeze(m.meanAlong(m.flatten(x, 2, 3), 2), 2);
  }

  /** Of 35 x 35 pixels. */
  private static Value large(Scope at, Value x, int in, int pooled) {
    Value five = conv(at, "branch5x5_1", x, in, 48, 1, 1, 0);
    five = conv(at, "branch5x5_2", five, 48, 64, 5, 1, 2);
    Value three = conv(at, "branch3x3dbl_1", x, in, 64, 1, 1, 0);
    three = conv(at, "branch3x3dbl_2", three, 64, 96, 3, 1, 1);
    three = conv(at, "branch3x3dbl_3", three, 96, 96, 3, 1, 1);
    return at.method()
        .concatenate(
            1,
            conv(at, "branch1x1", x, in, 64, 1, 1, 0),
            five,
            three,
            conv(at, "branch_pool", mean(at, x), in, pooled, 1, 1, 0));
  }

  private static Value halved(Scope at, Value x, int in) {
    Value three = conv(at, "branch3x3dbl_1", x, in, 64, 1, 1, 0);
    three = conv(at, "branch3x3dbl_2", three, 64, 96, 3, 1, 1);
    three = conv(at, "branch3x3dbl_3", three, 96, 96, 3, 2, 0);
    Method m = at.method();
    return m.concatenate(
        1, conv(at, "branch3x3", x, in, 384, 3, 2, 0), three, m.maxPool(x, 3, 2, 0));
  }

  /** Of 17 x 17 pixels: lines of seven instead of squares. */
  private static Value crossed(Scope at, Value x, int inner) {
    int in = 768;
    Value seven = conv(at, "branch7x7_1", x, in, inner, 1, 1, 0);
    seven = across(at, "branch7x7_2", seven, inner, inner, 7);
    seven = down(at, "branch7x7_3", seven, inner, 192, 7);
    Value twice = conv(at, "branch7x7dbl_1", x, in, inner, 1, 1, 0);
    twice = down(at, "branch7x7dbl_2", twice, inner, inner, 7);
    twice = across(at, "branch7x7dbl_3", twice, inner, inner, 7);
    twice = down(at, "branch7x7dbl_4", twice, inner, inner, 7);
    twice = across(at, "branch7x7dbl_5", twice, inner, 192, 7);
    return at.method()
        .concatenate(
            1,
            conv(at, "branch1x1", x, in, 192, 1, 1, 0),
            seven,
            twice,
            conv(at, "branch_pool", mean(at, x), in, 192, 1, 1, 0));
  }

  private static Value halvedAgain(Scope at, Value x) {
    int in = 768;
    Value three = conv(at, "branch3x3_1", x, in, 192, 1, 1, 0);
    three = conv(at, "branch3x3_2", three, 192, 320, 3, 2, 0);
    Value seven = conv(at, "branch7x7x3_1", x, in, 192, 1, 1, 0);
    seven = across(at, "branch7x7x3_2", seven, 192, 192, 7);
    seven = down(at, "branch7x7x3_3", seven, 192, 192, 7);
    seven = conv(at, "branch7x7x3_4", seven, 192, 192, 3, 2, 0);
    Method m = at.method();
    return m.concatenate(1, three, seven, m.maxPool(x, 3, 2, 0));
  }

  /**
   * Of 8 x 8 pixels.
   *
   * @param greatest whether the pooled branch has the greatest of each window, else the mean
   */
  private static Value wide(Scope at, Value x, int in, boolean greatest) {
    Method m = at.method();
    Value three = conv(at, "branch3x3_1", x, in, 384, 1, 1, 0);
    Value twice = conv(at, "branch3x3dbl_1", x, in, 448, 1, 1, 0);
    twice = conv(at, "branch3x3dbl_2", twice, 448, 384, 3, 1, 1);
    Value pooled = greatest ? m.maxPool(x, 3, 1, 1) : mean(at, x);
    return m.concatenate(
        1,
        conv(at, "branch1x1", x, in, 320, 1, 1, 0),
        across(at, "branch3x3_2a", three, 384, 384, 3),
        down(at, "branch3x3_2b", three, 384, 384, 3),
        across(at, "branch3x3dbl_3a", twice, 384, 384, 3),
        down(at, "branch3x3dbl_3b", twice, 384, 384, 3),
        conv(at, "branch_pool", pooled, in, 192, 1, 1, 0));
  }

  private static Value mean(Scope at, Value x) {
    return at.method().averagePool(x, 3, 1, 1);
  }

  private static Value across(Scope at, String name, Value x, int in, int out, int length) {
    int side = length / 2;
    return conv(at.child(name), at.method().pad(x, side, side, 0, 0), in, out, 1, length, 1, 0);
  }

  private static Value down(Scope at, String name, Value x, int in, int out, int length) {
    int side = length / 2;
    return conv(at.child(name), at.method().pad(x, 0, 0, side, side), in, out, length, 1, 1, 0);
  }

  private static Value conv(
      Scope at, String name, Value x, int in, int out, int kernel, int stride, int padding) {
    return conv(at.child(name), x, in, out, kernel, kernel, stride, padding);
  }

  /** A convolution, its batch norm, and ReLU. */
  private static Value conv(
      Scope at, Value x, int in, int out, int height, int width, int stride, int padding) {
    Method m = at.method();
    Scope norm = at.child("bn");
    Value deviation = m.sqrt(m.add(norm.parameter("running_var", out), EPSILON));
    Value scale = m.divide(norm.parameter("weight", out), deviation);
    Value shift =
        m.subtract(
            norm.parameter("bias", out), m.multiply(norm.parameter("running_mean", out), scale));
    Value weight =
        m.multiply(
            at.parameter("conv.weight", out, in, height, width),
            m.unsqueeze(m.unsqueeze(m.unsqueeze(scale, 1), 2), 3));
    return m.relu(m.conv2d(x, weight, shift, stride, padding));
  }
}
