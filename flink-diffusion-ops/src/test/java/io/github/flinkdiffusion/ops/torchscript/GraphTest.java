/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torchscript;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.GraphException;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.weights.DType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class GraphTest {

  @Test
  void aParameterAskedForTwiceIsOneParameter() {
    Graph graph = new Graph();
    assertThat(graph.parameter("weight", 2, 3)).isSameAs(graph.parameter("weight", 2, 3));
    assertThat(graph.parameterCount()).isEqualTo(6);
  }

  @Test
  void aParameterWithTwoShapesIsRefused() {
    Graph graph = new Graph();
    graph.parameter("weight", 2, 3);
    assertThatThrownBy(() -> graph.parameter("weight", 3, 2))
        .isInstanceOf(GraphException.class)
        .hasMessageContaining("weight")
        .hasMessageContaining("[2, 3]")
        .hasMessageContaining("[3, 2]");
  }

  @Test
  void aParameterKeepsItsOwnTypeAndOthersFollowThePrecision() {
    Graph graph = new Graph();
    graph.parameter("quantised", DType.I8, 2);
    graph.parameter("plain", 2);
    assertThat(graph.parameter("quantised", DType.I8, 2)).isSameAs(graph.parameter("quantised", 2));
    assertThat(graph.type("quantised", Precision.BFLOAT16)).isEqualTo(DType.I8);
    assertThat(graph.type("plain", Precision.BFLOAT16)).isEqualTo(DType.BF16);
    assertThatThrownBy(() -> graph.parameter("quantised", DType.U8, 2))
        .isInstanceOf(GraphException.class)
        .hasMessageContaining("quantised was declared with type I8 and is now used as U8");
    assertThatThrownBy(() -> graph.parameter("plain", DType.F32, 2))
        .isInstanceOf(GraphException.class)
        .hasMessageContaining("plain was declared without a type");
  }

  @Test
  void namesThatWouldShareAnIdentifierAreRefused() {
    Graph graph = new Graph();
    graph.parameter("a.b_c", 1);
    graph.parameter("a_b.c", 1);
    assertThatThrownBy(() -> new ArchiveWriter(graph, Precision.FLOAT32))
        .isInstanceOf(GraphException.class)
        .hasMessageContaining("a.b_c")
        .hasMessageContaining("a_b.c");
  }

  @Test
  void aSharedValueIsComputedOnce() {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value once = forward.silu(forward.input("x", 1));
    forward.returns(forward.add(once, once));
    assertThat(new ArchiveWriter(graph, Precision.FLOAT32).source())
        .containsOnlyOnce("torch.silu(");
  }

  @Test
  void aDeepGraphDoesNotExhaustTheStack() {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value x = forward.input("x", 1);
    for (int i = 0; i < 100_000; i++) {
      x = forward.silu(x);
    }
    forward.returns(x);
    assertThat(new ArchiveWriter(graph, Precision.FLOAT32).source())
        .contains("v100000 = torch.silu(v99999)");
  }

  @Test
  void anotherMethodsArgumentIsRefused() {
    Graph graph = new Graph();
    Value foreign = graph.method("encode").input("image", 4);
    Method decode = graph.method("decode");
    decode.input("latent", 4);
    decode.returns(decode.silu(foreign));
    graph.methods().get(0).returns(foreign);
    assertThatThrownBy(() -> new ArchiveWriter(graph, Precision.FLOAT32).source())
        .isInstanceOf(GraphException.class)
        .hasMessageContaining("decode")
        .hasMessageContaining("image");
  }

  @Test
  void aScalarThatHasNoLiteralIsRefused() {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    forward.returns(forward.multiply(forward.input("x", 1), Double.NaN));
    assertThatThrownBy(() -> new ArchiveWriter(graph, Precision.FLOAT32).source())
        .hasMessageContaining("NaN");
  }

  @Test
  void weightsOfTheWrongSizeLeaveNoFile(@TempDir Path folder) throws IOException {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    forward.returns(forward.add(forward.input("x", 1), graph.parameter("bias", 4)));
    ArchiveWriter writer = new ArchiveWriter(graph, Precision.FLOAT32);
    assertThatThrownBy(
            () ->
                writer.write(
                    folder.resolve("net.pt"), (name, shape, out) -> out.write(new byte[15])))
        .isInstanceOf(GraphException.class)
        .hasMessageContaining("bias")
        .hasMessageContaining("15");
    try (Stream<Path> files = Files.list(folder)) {
      assertThat(files).isEmpty();
    }
  }

  @Test
  void theSameGraphAndWeightsGiveTheSameParameters(@TempDir Path folder) throws IOException {
    byte[] archive = archive(folder, graphWithBias(), (byte) 1);
    assertThat(archive(folder, graphWithBias(), (byte) 1)).isEqualTo(archive);
    assertThat(archive(folder, graphWithBias(), (byte) 2))
        .as("the archive holds the weights")
        .isNotEqualTo(archive);
    try (Stream<Path> files = Files.list(folder)) {
      assertThat(files).as("a second writer replaces the first one's file").hasSize(1);
    }
  }

  private static Graph graphWithBias() {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    forward.returns(forward.add(forward.input("x", 1), graph.parameter("bias", 4)));
    return graph;
  }

  /** What a writer of its own makes of the graph; each byte of its weights is the given one. */
  private static byte[] archive(Path folder, Graph graph, byte weight) throws IOException {
    byte[] weights = new byte[8];
    Arrays.fill(weights, weight);
    Path target = folder.resolve("net.pt");
    new ArchiveWriter(graph, Precision.FLOAT16)
        .write(target, (name, shape, out) -> out.write(weights));
    return Files.readAllBytes(target);
  }
}
