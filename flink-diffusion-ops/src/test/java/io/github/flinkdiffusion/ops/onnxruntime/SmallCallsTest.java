/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnxruntime;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import org.junit.jupiter.api.Test;

class SmallCallsTest {
  /** A convolution of 16 x 16 x 3 x 3 weights, then SiLU: 1152 weights an operation. */
  private static SmallCalls convolution(int upsampling) {
    Graph graph = new Graph();
    Method method = graph.method("forward");
    Value x = method.input("x", 4);
    Value large = upsampling > 1 ? method.upsampleNearest(x, upsampling) : x;
    Value weight = graph.parameter("weight", 16, 16, 3, 3);
    method.returns(method.silu(method.conv2d(large, weight, null, 1, 1)));
    return new SmallCalls(method);
  }

  private static HostTensor images(int rows, int side) {
    return new HostTensor.Floats(new float[rows * 16 * side * side], rows, 16, side, side);
  }

  @Test
  void aCallIsSmallUpToSoManyMultiplicationsOfAnOperation() {
    SmallCalls small = convolution(1);
    small.saw(images(1, 8), images(1, 8));
    // 1153 x 81 = 93,393 and 1153 x 100 = 115,300
    assertThat(small.has(images(1, 9))).isTrue();
    assertThat(small.has(images(1, 10))).isFalse();
  }

  @Test
  void rowsCount() {
    SmallCalls small = convolution(1);
    small.saw(images(1, 8), images(1, 8));
    assertThat(small.has(images(1, 8))).isTrue();
    assertThat(small.has(images(2, 8))).isFalse();
  }

  @Test
  void noCallIsSmallBeforeAResultWasSeen() {
    assertThat(convolution(1).has(images(1, 1))).isFalse();
  }

  @Test
  void aDecoderIsAsLargeAsItsResult() {
    SmallCalls small = convolution(8);
    small.saw(images(1, 8), images(1, 1));
    assertThat(small.has(images(1, 1))).isTrue();
    assertThat(small.has(images(1, 2))).isFalse();
  }

  @Test
  void theLargestArgumentCounts() {
    Graph graph = new Graph();
    Method method = graph.method("forward");
    Value ids = method.integers("ids", 2);
    Value states = method.input("states", 3);
    method.returns(method.add(states, method.embedding(ids, graph.parameter("weight", 250, 16))));
    SmallCalls small = new SmallCalls(method);
    // 2001 for each token
    small.saw(states(10), tokens(10), states(1));
    assertThat(small.has(tokens(49), states(1))).isTrue();
    assertThat(small.has(tokens(50), states(1))).isFalse();
    assertThat(small.has(tokens(1), states(50))).isFalse();
  }

  private static HostTensor tokens(int tokens) {
    return new HostTensor.Longs(new long[tokens], 1, tokens);
  }

  private static HostTensor states(int tokens) {
    return new HostTensor.Floats(new float[tokens * 16], 1, tokens, 16);
  }

  @Test
  void withoutWeightsOperationsCount() {
    Graph graph = new Graph();
    Method method = graph.method("forward");
    method.returns(method.silu(method.input("x", 4)));
    SmallCalls small = new SmallCalls(method);
    small.saw(images(1, 8), images(1, 8));
    assertThat(small.has(images(1, 316))).isTrue();
    assertThat(small.has(images(1, 317))).isFalse();
  }
}
