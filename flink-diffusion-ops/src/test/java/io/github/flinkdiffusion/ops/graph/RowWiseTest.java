/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.graph;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.function.BiFunction;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Which operations keep the rows of a call apart. */
class RowWiseTest {
  private static Arguments of(String what, BiFunction<Graph, Method, Value> result) {
    return Arguments.of(what, result);
  }

  static Stream<Arguments> apart() {
    return Stream.of(
        of("linear", (g, m) -> m.linear(m.input("x", 2), g.parameter("w", 4, 3), null)),
        of(
            "a convolution with a bias from the time",
            (g, m) -> {
              Value x = m.input("x", 4);
              Value time = m.linear(m.unsqueeze(m.input("t", 1), 1), g.parameter("w", 3, 1), null);
              return m.add(
                  m.conv2d(x, g.parameter("c", 3, 3, 3, 3), g.parameter("b", 3), 1, 1),
                  m.unsqueeze(m.unsqueeze(time, -1), -1));
            }),
        of(
            "tokens with positions",
            (g, m) ->
                m.add(
                    m.embedding(m.integers("ids", 2), g.parameter("tokens", 50, 8)),
                    g.parameter("positions", 7, 8))),
        of(
            "positions of one row",
            (g, m) -> m.add(m.input("x", 3), g.parameter("positions", 1, 7, 8))),
        of(
            "a class token before each row's",
            (g, m) -> {
              Value x = m.input("x", 3);
              Value one = m.expandAs(g.parameter("class", 1, 1, 8), m.narrow(x, 1, 0, 1));
              return m.concatenate(1, one, x);
            }),
        of(
            "attention of heads",
            (g, m) -> {
              Value q = heads(m, m.input("q", 3));
              Value k = heads(m, m.input("k", 3));
              return m.flatten(m.permute(m.attention(q, k, k, false), 0, 2, 1, 3), 2, 3);
            }),
        of(
            "what a mean over places that all rows share is added to",
            (g, m) -> m.add(m.input("x", 1), m.meanAlong(m.indices(m.input("y", 2), 1), 0))),
        of("the last dimension's mean", (g, m) -> m.meanAlong(m.input("x", 3), -1)),
        of(
            "a row at an index",
            (g, m) -> {
              Value ids = m.integers("ids", 2);
              return m.selectRow(m.embedding(ids, g.parameter("tokens", 50, 8)), m.argmax(ids, 1));
            }),
        of(
            "distances to a codebook",
            (g, m) -> m.distances(m.input("x", 2), g.parameter("codes", 9, 4))));
  }

  private static Value heads(Method m, Value x) {
    return m.permute(m.unflatten(x, 2, 2, 4), 0, 2, 1, 3);
  }

  static Stream<Arguments> together() {
    return Stream.of(
        of("no argument at all", (g, m) -> g.parameter("w", 4, 3)),
        of("an argument without dimensions", (g, m) -> m.silu(m.input("x", 0))),
        of("a mean over everything", (g, m) -> m.mean(m.input("x", 2))),
        of("a mean over the rows", (g, m) -> m.meanAlong(m.input("x", 2), 0)),
        of("a mean over the rows, from behind", (g, m) -> m.meanAlong(m.input("x", 2), -2)),
        of("rows that are exchanged", (g, m) -> m.transpose(m.input("x", 2), 0, 1)),
        of("rows that are moved", (g, m) -> m.permute(m.input("x", 3), 1, 0, 2)),
        of("rows that are folded", (g, m) -> m.flatten(m.input("x", 3), 0, 1)),
        of("rows that are split", (g, m) -> m.unflatten(m.input("x", 2), 0, 2, -1)),
        of("a part of the rows", (g, m) -> m.narrow(m.input("x", 2), 0, 0, 1)),
        of("rows after rows", (g, m) -> m.concatenate(0, m.input("x", 2), m.input("y", 2))),
        of("a dimension before them", (g, m) -> m.unsqueeze(m.input("x", 2), 0)),
        of(
            "a number for each row of the table",
            (g, m) -> m.multiply(m.input("x", 2), g.parameter("scale", 4, 3))),
        of("broadcast along the rows", (g, m) -> m.add(m.input("x", 2), m.input("y", 1))),
        of("distances between rows", (g, m) -> m.distances(m.input("x", 2), m.input("y", 2))),
        of(
            "a table that is an argument",
            (g, m) -> m.embedding(m.integers("ids", 2), m.input("tokens", 2))),
        of(
            "weights that are an argument",
            (g, m) -> m.linear(m.input("x", 2), m.input("w", 2), null)));
  }

  private static Method method(BiFunction<Graph, Method, Value> result) {
    Graph graph = new Graph();
    Method method = graph.method("forward");
    method.returns(result.apply(graph, method));
    return method;
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource
  void apart(String what, BiFunction<Graph, Method, Value> result) {
    assertThat(RowWise.is(method(result))).isTrue();
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource
  void together(String what, BiFunction<Graph, Method, Value> result) {
    assertThat(RowWise.is(method(result))).isFalse();
  }
}
