/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Op;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.weights.DType;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Each operation of inference gives the same on all engines, odd sizes and edges included. */
class OperationsTest {
  private static final double TOLERANCE = 2e-6;

  /**
   * An operation with its attributes.
   *
   * @param result from a graph, its method and its inputs
   * @param inputs shapes of its float32 inputs
   */
  private record Case(String name, BiFunction<Method, List<Value>, Value> result, long[][] inputs) {
    @Override
    public String toString() {
      return name;
    }
  }

  private static Case of(
      String name, BiFunction<Method, List<Value>, Value> result, long[]... inputs) {
    return new Case(name, result, inputs);
  }

  private static long[] shape(long... sizes) {
    return sizes;
  }

  private static Value parameter(Method m, String name, long... shape) {
    return m.graph().parameter(name, shape);
  }

  private static Value int8(Method m, long... shape) {
    return m.dequantize(
        m.graph().parameter("int8", DType.I8, shape),
        m.multiply(parameter(m, "s", shape[0]), 1.0 / 127),
        shape.length);
  }

  private static Value int4(Method m, long... shape) {
    long groups = (Graph.elements(shape) / shape[0] + 31) / 32;
    return m.dequantizeGroups(
        m.graph().parameter("int4", DType.U8, shape[0], 16 * groups),
        m.multiply(parameter(m, "s4", shape[0], groups), 1.0 / 8),
        shape);
  }

  static Stream<Case> cases() {
    long[] image = shape(2, 4, 5, 7);
    long[] tokens = shape(2, 6, 8);
    return Stream.of(
        of(
            "convolution",
            (m, x) -> m.conv2d(x.get(0), parameter(m, "w", 3, 4, 3, 3), parameter(m, "b", 3), 2, 1),
            image),
        of(
            "convolution without bias",
            (m, x) -> m.conv2d(x.get(0), parameter(m, "w", 3, 4, 1, 1), null, 1, 0),
            image),
        of(
            "convolution along rows",
            (m, x) ->
                m.conv2d(
                    m.pad(x.get(0), 3, 3, 0, 0),
                    parameter(m, "w", 3, 4, 1, 7),
                    parameter(m, "b", 3),
                    1,
                    0),
            image),
        of(
            "convolution along columns",
            (m, x) ->
                m.conv2d(
                    m.pad(x.get(0), 0, 0, 3, 3),
                    parameter(m, "w", 3, 4, 7, 1),
                    parameter(m, "b", 3),
                    1,
                    0),
            image),
        of(
            "convolution with a computed weight",
            (m, x) ->
                m.conv2d(
                    x.get(0),
                    m.multiply(parameter(m, "w", 3, 4, 3, 3), parameter(m, "s", 3, 1, 1, 1)),
                    parameter(m, "b", 3),
                    2,
                    0),
            image),
        of(
            "linear layer of rank 2",
            (m, x) -> m.linear(x.get(0), parameter(m, "w", 3, 8), parameter(m, "b", 3)),
            shape(5, 8)),
        of(
            "linear layer of rank 3",
            (m, x) -> m.linear(x.get(0), parameter(m, "w", 3, 8), parameter(m, "b", 3)),
            tokens),
        of(
            "linear layer of rank 4 without bias",
            (m, x) -> m.linear(x.get(0), parameter(m, "w", 3, 7), null),
            image),
        of(
            "convolution of int8",
            (m, x) -> m.conv2d(x.get(0), int8(m, 3, 4, 3, 3), parameter(m, "b", 3), 2, 1),
            image),
        of(
            "convolution of int4",
            (m, x) -> m.conv2d(x.get(0), int4(m, 3, 4, 3, 3), parameter(m, "b", 3), 2, 1),
            image),
        of(
            "linear layer of int4",
            (m, x) -> m.linear(x.get(0), int4(m, 3, 8), parameter(m, "b", 3)),
            tokens),
        of(
            "linear layer of int4 of vectors",
            (m, x) -> m.linear(x.get(0), int4(m, 5, 70), null),
            shape(3, 70)),
        of("linear layer of int8", (m, x) -> m.linear(x.get(0), int8(m, 3, 8), null), tokens),
        of(
            "group norm of an image",
            (m, x) -> m.groupNorm(x.get(0), 2, parameter(m, "w", 4), parameter(m, "b", 4), 1e-5),
            image),
        of(
            "group norm of tokens",
            (m, x) -> m.groupNorm(x.get(0), 3, parameter(m, "w", 6), parameter(m, "b", 6), 1e-6),
            tokens),
        of(
            "group norm without weights",
            (m, x) -> m.groupNorm(x.get(0), 2, null, null, 1e-5),
            image),
        of(
            "layer norm",
            (m, x) -> m.layerNorm(x.get(0), 8, parameter(m, "w", 8), parameter(m, "b", 8), 1e-5),
            tokens),
        of(
            "layer norm without weights",
            (m, x) -> m.layerNorm(x.get(0), 8, null, null, 1e-6),
            tokens),
        of(
            "convolution in groups",
            (m, x) ->
                m.conv2d(x.get(0), parameter(m, "w", 6, 2, 3, 3), parameter(m, "b", 6), 1, 1, 2),
            image),
        of(
            "convolution of each channel",
            (m, x) -> m.conv2d(x.get(0), parameter(m, "w", 4, 1, 3, 3), null, 2, 1, 4),
            image),
        of("rms norm", (m, x) -> m.rmsNorm(x.get(0), 8, parameter(m, "w", 8), 1e-6), tokens),
        of("rms norm without weight", (m, x) -> m.rmsNorm(x.get(0), 7, null, 1e-5), image),
        of(
            "turned neighbours",
            (m, x) -> m.rotate(x.get(0), x.get(1), x.get(2), 4, true),
            shape(2, 3, 5, 8),
            shape(1, 5, 4),
            shape(1, 5, 4)),
        of(
            "turned halves, each row by its own angles",
            (m, x) -> m.rotate(x.get(0), x.get(1), x.get(2), 4, false),
            shape(2, 3, 5, 8),
            shape(2, 5, 4),
            shape(2, 5, 4)),
        of(
            "product of matrices",
            (m, x) -> m.matrixProduct(x.get(0), x.get(1)),
            shape(2, 3, 5, 4),
            shape(2, 3, 4, 6)),
        of(
            "product with one matrix",
            (m, x) -> m.matrixProduct(x.get(0), x.get(1)),
            tokens,
            shape(8, 3)),
        of("softmax", (m, x) -> m.softmax(x.get(0)), image),
        of("floor", (m, x) -> m.floor(x.get(0)), image),
        of(
            "the first part, as long as another",
            (m, x) -> m.firstAs(x.get(0), 1, x.get(1), -1),
            tokens,
            shape(2, 4)),
        of(
            "the last part, as long as another",
            (m, x) -> m.lastAs(x.get(0), -2, x.get(1), 1),
            tokens,
            shape(2, 4)),
        of("places along a dimension", (m, x) -> m.add(m.indices(x.get(0), -2), 0.5), image),
        of("silu", (m, x) -> m.silu(x.get(0)), image),
        of("mish", (m, x) -> m.mish(x.get(0)), image),
        of("relu", (m, x) -> m.relu(x.get(0)), image),
        of("sigmoid", (m, x) -> m.sigmoid(x.get(0)), image),
        of("tanh", (m, x) -> m.tanh(x.get(0)), image),
        of("gelu", (m, x) -> m.gelu(x.get(0)), image),
        of("gelu by tanh", (m, x) -> m.geluTanh(x.get(0)), image),
        of("sine", (m, x) -> m.sin(x.get(0)), image),
        of("cosine", (m, x) -> m.cos(x.get(0)), image),
        of("exponential", (m, x) -> m.exp(x.get(0)), image),
        of("square root", (m, x) -> m.sqrt(m.exp(x.get(0))), image),
        of("logarithm", (m, x) -> m.log(m.add(m.multiply(x.get(0), x.get(0)), 0.1)), image),
        of(
            "attention",
            (m, x) -> m.attention(x.get(0), x.get(1), x.get(2), false),
            shape(2, 3, 5, 4),
            shape(2, 3, 7, 4),
            shape(2, 3, 7, 4)),
        of(
            "causal attention",
            (m, x) -> m.attention(x.get(0), x.get(1), x.get(2), true),
            shape(2, 3, 5, 4),
            shape(2, 3, 5, 4),
            shape(2, 3, 5, 4)),
        of(
            "attention with bias",
            (m, x) -> m.attention(x.get(0), x.get(1), x.get(2), x.get(3)),
            shape(2, 3, 5, 4),
            shape(2, 3, 7, 4),
            shape(2, 3, 7, 4),
            shape(2, 1, 1, 7)),
        of("attention of split heads", (m, x) -> heads(m, x, false), tokens, tokens, tokens),
        of("causal attention of split heads", (m, x) -> heads(m, x, true), tokens, tokens, tokens),
        of(
            "attention of split heads with bias",
            (m, x) -> heads(m, x, false),
            shape(2, 6, 8),
            shape(2, 5, 8),
            shape(2, 5, 8),
            shape(2, 1, 6, 5)),
        of(
            "attention of split heads with a mask over keys",
            (m, x) -> heads(m, x, false),
            shape(2, 6, 8),
            shape(2, 5, 8),
            shape(2, 5, 8),
            shape(2, 1, 1, 5)),
        of("sum", (m, x) -> m.add(x.get(0), x.get(1)), image, image),
        of("sum over other ranks", (m, x) -> m.add(x.get(0), x.get(1)), shape(7), image),
        of("difference", (m, x) -> m.subtract(x.get(0), x.get(1)), image, shape(1, 4, 1, 1)),
        of("product", (m, x) -> m.multiply(x.get(0), x.get(1)), image, image),
        of("quotient", (m, x) -> m.divide(x.get(0), m.add(m.sigmoid(x.get(1)), 1)), image, image),
        of("sum with a number", (m, x) -> m.add(x.get(0), -0.3), image),
        of("product with a number", (m, x) -> m.multiply(x.get(0), 1e-3), image),
        of("bounds", (m, x) -> m.clamp(x.get(0), -0.5, 0.25), image),
        of(
            "concatenation",
            (m, x) -> m.concatenate(-1, x.get(0), x.get(1), x.get(0)),
            image,
            shape(2, 4, 5, 3)),
        of("a part", (m, x) -> m.narrow(x.get(0), 2, 1, 3), image),
        of("a part from the end's dimension", (m, x) -> m.narrow(x.get(0), -1, 2, 4), image),
        of("transposition", (m, x) -> m.transpose(x.get(0), 1, -1), image),
        of("permutation", (m, x) -> m.permute(x.get(0), 2, 0, 3, 1), image),
        of("flattening in front", (m, x) -> m.flatten(x.get(0), 0, 1), image),
        of("flattening in the middle", (m, x) -> m.flatten(x.get(0), 1, 2), image),
        of("flattening at the end", (m, x) -> m.flatten(x.get(0), 2, -1), image),
        of("flattening all", (m, x) -> m.flatten(x.get(0), 0, 3), image),
        of("splitting a dimension", (m, x) -> m.unflatten(x.get(0), 1, 2, -1), image),
        of("splitting the last dimension", (m, x) -> m.unflatten(x.get(0), -1, 2, 4), tokens),
        of(
            "splitting a dimension as another's are",
            (m, x) -> m.unflattenAs(x.get(0), 1, x.get(1), -2),
            shape(2, 6, 5),
            shape(2, 4, 2, 3)),
        of("another's shape", (m, x) -> m.reshapeAs(x.get(0), x.get(1)), image, shape(8, 35)),
        of("a new dimension", (m, x) -> m.unsqueeze(x.get(0), -1), image),
        of("one dimension less", (m, x) -> m.squeeze(x.get(0), 1), shape(2, 1, 5)),
        of("zeros around", (m, x) -> m.pad(x.get(0), 1, 2, 0, 3), image),
        of("mirrored edges", (m, x) -> m.padReflect(x.get(0), 2, 1, 0, 1), image),
        of("doubling", (m, x) -> m.upsampleNearest(x.get(0), 2), image),
        of(
            "another's size, twice and once less",
            (m, x) -> m.upsampleNearestAs(x.get(0), x.get(1)),
            image,
            shape(2, 1, 9, 14)),
        of("mean pooling", (m, x) -> m.averagePool(x.get(0), 2), shape(2, 3, 6, 8)),
        of("mean pooling at edges", (m, x) -> m.averagePool(x.get(0), 3, 1, 1), image),
        of("mean pooling of a part", (m, x) -> m.averagePool(x.get(0), 3, 2, 0), image),
        of("greatest of windows", (m, x) -> m.maxPool(x.get(0), 3, 2, 0), shape(2, 4, 6, 8)),
        of(
            "greatest of windows below 0 at edges",
            (m, x) -> m.maxPool(m.add(m.clamp(x.get(0), -3, 0), -1), 3, 1, 1),
            image),
        of(
            "embedding of the greatest",
            (m, x) -> m.embedding(m.argmax(x.get(0), 1), parameter(m, "w", 6, 3)),
            tokens),
        of(
            "embedding of the least",
            (m, x) -> m.embedding(m.argmin(x.get(0), -1), parameter(m, "w", 8, 3)),
            tokens),
        of("where an index is", (m, x) -> m.equalsScalar(m.argmax(x.get(0), 1), 2), tokens),
        of(
            "a row of each",
            (m, x) -> m.selectRow(x.get(0), m.argmax(x.get(1), 1)),
            tokens,
            shape(2, 6)),
        of("distances", (m, x) -> m.distances(x.get(0), x.get(1)), shape(5, 4), shape(9, 4)),
        of("repetition", (m, x) -> m.expandAs(x.get(0), x.get(1)), shape(2, 1, 1, 7), image),
        of("a cast", (m, x) -> m.castAs(m.argmax(x.get(0), 1), x.get(0)), tokens),
        of("float32", (m, x) -> m.toFloat(m.argmax(x.get(0), 1)), tokens),
        of("mean along a dimension", (m, x) -> m.meanAlong(x.get(0), 1), image),
        of(
            "a constant",
            (m, x) -> m.add(x.get(0), m.graph().constant("c", new float[] {1, -2, 3, 0, 5, 6, 7})),
            image));
  }

  /** As graphs say attention over tokens, which an emitter may join into one operation. */
  private static Value heads(Method m, List<Value> x, boolean causal) {
    Value[] split = new Value[3];
    for (int i = 0; i < 3; i++) {
      split[i] = m.transpose(m.unflatten(x.get(i), 2, 2, 4), 1, 2);
    }
    Value attended =
        x.size() > 3
            ? m.attention(split[0], split[1], split[2], x.get(3))
            : m.attention(split[0], split[1], split[2], causal);
    return m.flatten(m.transpose(attended, 1, 2), 2, 3);
  }

  private static Graph graph(Case testCase) {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    List<Value> inputs = new ArrayList<>();
    for (long[] shape : testCase.inputs) {
      inputs.add(forward.input("x" + inputs.size(), shape.length));
    }
    forward.returns(forward.toFloat(testCase.result.apply(forward, inputs)));
    return graph;
  }

  private static float[] random(Random random, long[] shape) {
    float[] values = new float[(int) Graph.elements(shape)];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private static HostTensor.Floats result(Case testCase, String engine) {
    Program program =
        Program.of(
            "net",
            graph(testCase),
            Precision.FLOAT32,
            (name, shape, out) -> {
              if (name.startsWith("int")) {
                byte[] bytes = new byte[(int) Graph.elements(shape)];
                new Random(1).nextBytes(bytes);
                out.write(bytes);
                return;
              }
              ByteBuffer bytes =
                  ByteBuffer.allocate((int) Graph.elements(shape) * Float.BYTES)
                      .order(ByteOrder.LITTLE_ENDIAN);
              bytes.asFloatBuffer().put(random(new Random(name.hashCode()), shape));
              out.write(bytes.array());
            });
    Random random = new Random(7);
    Tensor[] inputs =
        Arrays.stream(testCase.inputs)
            .map(shape -> new HostTensor.Floats(random(random, shape), shape))
            .toArray(Tensor[]::new);
    try (Network network = Engines.standard().named(engine).load(program, DeviceSpec.CPU)) {
      return network.call("forward", inputs);
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void bothEnginesAgree(Case testCase) {
    HostTensor.Floats expected = result(testCase, Engines.PYTORCH);
    HostTensor.Floats actual = result(testCase, Engines.ONNX_RUNTIME);
    assertThat(actual.shape()).isEqualTo(expected.shape());
    for (int i = 0; i < expected.data().length; i++) {
      float value = expected.data()[i];
      assertThat((double) actual.data()[i])
          .as("element %d", i)
          .isCloseTo(
              value, org.assertj.core.data.Offset.offset(TOLERANCE * Math.max(1, Math.abs(value))));
    }
  }

  @Test
  void everyOperationOfInferenceHasACase() {
    Set<Op> seen = EnumSet.noneOf(Op.class);
    Set<Value> visited = Collections.newSetFromMap(new IdentityHashMap<>());
    cases()
        .forEach(
            each -> graph(each).methods().get(0).results().forEach(r -> visit(r, seen, visited)));
    assertThat(EnumSet.complementOf(EnumSet.copyOf(seen)))
        .containsExactlyInAnyOrder(
            Op.MEAN, Op.MEAN_SQUARED_ERROR, Op.MEAN_ABSOLUTE_ERROR, Op.DROPOUT, Op.DETACH);
  }

  private static void visit(Value value, Set<Op> seen, Set<Value> visited) {
    if (visited.add(value)) {
      seen.add(value.op());
      value.inputs().stream().filter(Objects::nonNull).forEach(in -> visit(in, seen, visited));
    }
  }
}
