/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import org.apache.flink.annotation.Internal;

/**
 * A place in a network: a method under construction and the prefix of the parameters used there.
 * Its layers are named as PyTorch's modules are, so that their weights carry the names that
 * checkpoints use.
 *
 * @param method where operations are added
 * @param prefix parameter prefix, empty or ending in a dot
 */
@Internal
public record Scope(Method method, String prefix) {

  /** The scope of a submodule. */
  public Scope child(String name) {
    return new Scope(method, prefix + name + ".");
  }

  /** The scope of the i-th submodule of a list. */
  public Scope child(String list, int index) {
    return child(list + "." + index);
  }

  Value parameter(String name, long... shape) {
    return method.graph().parameter(prefix + name, shape);
  }

  Value conv2d(String name, Value x, int in, int out, int kernel, int stride, int padding) {
    Scope layer = child(name);
    return method.conv2d(
        x,
        layer.parameter("weight", out, in, kernel, kernel),
        layer.parameter("bias", out),
        stride,
        padding);
  }

  Value conv2dWithoutBias(
      String name, Value x, int in, int out, int kernel, int stride, int padding) {
    Value weight = child(name).parameter("weight", out, in, kernel, kernel);
    return method.conv2d(x, weight, null, stride, padding);
  }

  Value conv3x3(String name, Value x, int in, int out) {
    return conv2d(name, x, in, out, 3, 1, 1);
  }

  Value conv1x1(String name, Value x, int in, int out) {
    return conv2d(name, x, in, out, 1, 1, 0);
  }

  /**
   * A convolution that halves both sides, as diffusers' Downsample2D.
   *
   * @param symmetric whether the image is padded on all sides; else on the right and below alone
   */
  Value halved(Value x, int channels, boolean symmetric) {
    return symmetric
        ? conv2d("conv", x, channels, channels, 3, 2, 1)
        : conv2d("conv", method.pad(x, 0, 1, 0, 1), channels, channels, 3, 2, 0);
  }

  Value linear(String name, Value x, int in, int out) {
    Scope layer = child(name);
    return method.linear(x, layer.parameter("weight", out, in), layer.parameter("bias", out));
  }

  Value linearWithoutBias(String name, Value x, int in, int out) {
    return method.linear(x, child(name).parameter("weight", out, in), null);
  }

  Value groupNorm(String name, Value x, int channels, int groups, double epsilon) {
    Scope layer = child(name);
    return method.groupNorm(
        x, groups, layer.parameter("weight", channels), layer.parameter("bias", channels), epsilon);
  }

  Value layerNorm(String name, Value x, int size, double epsilon) {
    Scope layer = child(name);
    return method.layerNorm(
        x, size, layer.parameter("weight", size), layer.parameter("bias", size), epsilon);
  }

  /** Multi-head attention over q [N,T,heads*d], k and v [N,S,heads*d], giving [N,T,heads*d]. */
  Value heads(Value q, Value k, Value v, int heads, int headSize, boolean causal) {
    Value attended =
        method.attention(
            split(q, heads, headSize),
            split(k, heads, headSize),
            split(v, heads, headSize),
            causal);
    return method.flatten(method.transpose(attended, 1, 2), 2, 3);
  }

  /** As {@link #heads(Value, Value, Value, int, int, boolean)}, with what scores get added. */
  Value heads(Value q, Value k, Value v, Value bias, int heads, int headSize) {
    Value attended =
        method.attention(
            split(q, heads, headSize), split(k, heads, headSize), split(v, heads, headSize), bias);
    return method.flatten(method.transpose(attended, 1, 2), 2, 3);
  }

  private Value split(Value x, int heads, int headSize) {
    return method.transpose(method.unflatten(x, 2, heads, headSize), 1, 2);
  }

  /** [N,C,H,W] as tokens [N,H*W,C]. */
  Value tokens(Value image) {
    return method.transpose(method.flatten(image, 2, 3), 1, 2);
  }

  /** Tokens [N,H*W,C] as an image of the reference's shape [N,C,H,W]. */
  Value image(Value tokens, Value reference) {
    return method.reshapeAs(method.transpose(tokens, 1, 2), reference);
  }

  /**
   * The sum of an image and what attention adds to it, in the image's memory layout, since a sum
   * takes its first operand's: tokens seen as an image are channels-last, and group norms over such
   * tensors take up to forty times as long on the CPU.
   */
  Value addImage(Value image, Value attended) {
    return method.add(image, attended);
  }
}
