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
 * LPIPS (R. Zhang et al., CVPR 2018, version 0.1): how different two pictures look, by what a
 * network for classes sees in them. Parameter names are those of the package lpips.
 */
@Internal
public enum PerceptualNetwork {
  /** AlexNet, which lpips calls {@code alex}. */
  ALEX(
      new int[][] {
        {3, 64, 11, 4, 2},
        {64, 192, 5, 1, 2},
        {192, 384, 3, 1, 1},
        {384, 256, 3, 1, 1},
        {256, 256, 3, 1, 1}
      },
      new int[] {0, 3, 6, 8, 10},
      new int[] {1, 1, 1, 1, 1},
      3,
      new boolean[] {true, true, false, false}),
  /** VGG 16, which lpips calls {@code vgg}. */
  VGG(
      new int[][] {
        {3, 64, 3, 1, 1},
        {64, 64, 3, 1, 1},
        {64, 128, 3, 1, 1},
        {128, 128, 3, 1, 1},
        {128, 256, 3, 1, 1},
        {256, 256, 3, 1, 1},
        {256, 256, 3, 1, 1},
        {256, 512, 3, 1, 1},
        {512, 512, 3, 1, 1},
        {512, 512, 3, 1, 1},
        {512, 512, 3, 1, 1},
        {512, 512, 3, 1, 1},
        {512, 512, 3, 1, 1}
      },
      new int[] {0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28},
      new int[] {2, 2, 3, 3, 3},
      2,
      new boolean[] {true, true, true, true});

  /** The method that gives the distance of each pair: [N]. */
  public static final String FORWARD = "forward";

  private static final float[] SHIFT = {-.030f, -.088f, -.188f};
  private static final float[] SCALE = {.458f, .448f, .450f};
  private static final double EPSILON = 1e-10;

  /** Of each convolution: channels in and out, kernel, stride, padding. */
  private final int[][] convolutions;

  /** Of each convolution, its place in torchvision's list of layers. */
  private final int[] places;

  /** How many convolutions each slice has. */
  private final int[] slices;

  /** Kernel of the pooling before a slice; the stride is 2. */
  private final int pooling;

  /** Whether there is one before the second, third ... slice. */
  private final boolean[] pooled;

  PerceptualNetwork(
      int[][] convolutions, int[] places, int[] slices, int pooling, boolean[] pooled) {
    this.convolutions = convolutions;
    this.places = places;
    this.slices = slices;
    this.pooling = pooling;
    this.pooled = pooled;
  }

  /** Name of the last convolution's weights, by which a file is recognized. */
  public String lastWeight() {
    int last = slices.length - 1;
    return "net.slice%d.%d.weight".formatted(last + 1, places[places.length - 1]);
  }

  /** Pixels of either side that a picture needs, so that every slice has something to see. */
  public int leastSide() {
    return this == ALEX ? 31 : 16;
  }

  /**
   * A graph whose method takes two batches of pictures [N,3,H,W], from -1 to 1, and gives each
   * pair's distance [N].
   */
  public Graph graph() {
    Graph graph = new Graph();
    Method m = graph.method(FORWARD);
    Value first = m.input("first", 4);
    Value second = m.input("second", 4);
    List<Value> seenInFirst = seen(m, first);
    List<Value> seenInSecond = seen(m, second);
    Value sum = null;
    for (int slice = 0; slice < slices.length; slice++) {
      int channels = channels(slice);
      Value difference =
          m.subtract(
              direction(m, seenInFirst.get(slice), channels),
              direction(m, seenInSecond.get(slice), channels));
      Value weighted =
          m.conv2d(
              m.multiply(difference, difference),
              graph.parameter("lin%d.model.1.weight".formatted(slice), 1, channels, 1, 1),
              null,
              1,
              0);
      Value mean = m.squeeze(m.meanAlong(m.flatten(weighted, 1, 3), 1), 1);
      sum = sum == null ? mean : m.add(sum, mean);
    }
    m.returns(m.toFloat(sum));
    return graph;
  }

  private int channels(int slice) {
    int convolution = -1;
    for (int i = 0; i <= slice; i++) {
      convolution += slices[i];
    }
    return convolutions[convolution][1];
  }

  /** What each slice gives. */
  private List<Value> seen(Method m, Value picture) {
    Value x = m.subtract(picture, byChannel(m, "shift", SHIFT));
    x = m.divide(x, byChannel(m, "scale", SCALE));
    List<Value> seen = new ArrayList<>();
    int convolution = 0;
    for (int slice = 0; slice < slices.length; slice++) {
      if (slice > 0 && pooled[slice - 1]) {
        x = m.maxPool(x, pooling, 2, 0);
      }
      for (int i = 0; i < slices[slice]; i++) {
        int[] of = convolutions[convolution];
        Scope at = new Scope(m, "net.slice%d.%d.".formatted(slice + 1, places[convolution++]));
        Value weight = at.parameter("weight", of[1], of[0], of[2], of[2]);
        x = m.relu(m.conv2d(x, weight, at.parameter("bias", of[1]), of[3], of[4]));
      }
      seen.add(x);
    }
    return seen;
  }

  private static Value byChannel(Method m, String name, float[] values) {
    Value vector = m.graph().constant(name, values);
    return m.unsqueeze(m.unsqueeze(m.unsqueeze(vector, 0), 2), 3);
  }

  /** At each pixel the direction of what is seen there, as lpips has it. */
  private static Value direction(Method m, Value x, int channels) {
    Value squares = m.multiply(m.meanAlong(m.multiply(x, x), 1), channels);
    return m.divide(x, m.add(m.sqrt(squares), EPSILON));
  }
}
